"""Claim codes and provisioning keys, which name no tenant."""

from alembic import op

revision = "0012"
down_revision = "0011"

SCHEMA = """
CREATE TABLE claim_batches (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL,
    prefix text NOT NULL,
    device_type text,
    space_id integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX claim_batches_tenant ON claim_batches (tenant_id, created_at);
COMMENT ON COLUMN claim_batches.prefix IS 'a claimed device is called {prefix}-{number of its code}';
COMMENT ON COLUMN claim_batches.space_id IS 'of the tenant''s spaces: where a claimed device is';

CREATE TABLE claim_codes (
    code_hash text PRIMARY KEY,
    batch_id uuid NOT NULL REFERENCES claim_batches ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    device text,
    claimed_at timestamptz,
    UNIQUE (batch_id, number)
);
COMMENT ON COLUMN claim_codes.code_hash IS 'SHA-256 of 74 random bits, which are shown once';

CREATE TABLE provisioning_keys (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL,
    key_hash text NOT NULL UNIQUE,
    prefix text NOT NULL,
    device_types text[] NOT NULL DEFAULT '{}',
    space_id integer,
    approved_serials text[] NOT NULL DEFAULT '{}',
    most_devices integer NOT NULL CHECK (most_devices > 0),
    devices integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX provisioning_keys_tenant ON provisioning_keys (tenant_id, created_at);
COMMENT ON COLUMN provisioning_keys.approved_serials IS 'patterns of serial numbers that need nobody''s approval';
COMMENT ON COLUMN provisioning_keys.devices IS 'how many have enrolled with it';

ALTER TABLE tenant_jobs
    DROP CONSTRAINT tenant_jobs_kind_check,
    ADD CONSTRAINT tenant_jobs_kind_check
        CHECK (kind IN ('create', 'export', 'import', 'delete', 'devices'));
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
