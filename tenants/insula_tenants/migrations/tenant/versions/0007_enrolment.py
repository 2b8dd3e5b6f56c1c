"""Devices that have announced themselves and wait for approval."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
CREATE TABLE enrolments (
    id uuid PRIMARY KEY,
    key_id uuid NOT NULL,
    serial text NOT NULL,
    type text,
    name text,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'enrolled', 'rejected')),
    device text,
    space_id integer REFERENCES spaces ON DELETE SET NULL,
    secret_hash text NOT NULL,
    address text,
    times integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    enrolled_at timestamptz,
    UNIQUE (key_id, serial)
);
CREATE INDEX enrolments_state ON enrolments (state, created_at, id);
COMMENT ON COLUMN enrolments.key_id IS 'the provisioning key it came with, in the registry';
COMMENT ON COLUMN enrolments.device IS 'what it is to be, or is, called; set when it is approved';
COMMENT ON COLUMN enrolments.secret_hash IS 'SHA-256 of what it fetches its login with';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
