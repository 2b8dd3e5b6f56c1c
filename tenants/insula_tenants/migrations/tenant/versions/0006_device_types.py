"""Device types, and the life of a device."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
CREATE TABLE device_types (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'),
    name text NOT NULL,
    vendor text,
    model text,
    expected_interval integer CHECK (expected_interval > 0),
    points jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(points) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE device_types IS 'the tenant''s own; the built-in ones are part of the release';
COMMENT ON COLUMN device_types.expected_interval IS 'seconds between two messages of such a device';
COMMENT ON COLUMN device_types.points IS 'what a new device of this type gets as its points';

ALTER TABLE devices
    ADD COLUMN type text CHECK (type ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'),
    ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'held', 'decommissioned')),
    ADD COLUMN decommissioned_at timestamptz,
    ADD COLUMN expected_interval integer CHECK (expected_interval > 0),
    ADD COLUMN serial text,
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object');
CREATE INDEX devices_type ON devices (type);
COMMENT ON COLUMN devices.type IS 'slug of a device type, the tenant''s own or a built-in one; null when nobody said';
COMMENT ON COLUMN devices.state IS 'a decommissioned device keeps its readings and has no login';
COMMENT ON COLUMN devices.expected_interval IS 'seconds between two messages, by which silence is told; null when nobody said';
COMMENT ON COLUMN devices.serial IS 'the maker''s number';

ALTER TABLE points
    ADD COLUMN minimum double precision,
    ADD COLUMN maximum double precision CHECK (maximum >= minimum),
    ADD COLUMN expected_interval integer CHECK (expected_interval > 0);
COMMENT ON COLUMN points.minimum IS 'lowest value that can be right, in the point''s unit; null when nobody said';
COMMENT ON COLUMN points.maximum IS 'highest value that can be right, in the point''s unit; null when nobody said';
COMMENT ON COLUMN points.expected_interval IS 'seconds between two readings; null when it is the device''s';

ALTER TABLE device_credentials
    DROP CONSTRAINT device_credentials_device_id_key,
    ADD COLUMN number integer NOT NULL DEFAULT 1 CHECK (number > 0),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN revoked_at timestamptz,
    ADD UNIQUE (device_id, number);
COMMENT ON COLUMN device_credentials.number IS 'its user name is {tenant}/{device} for 1, {tenant}/{device}/{number} after that';
COMMENT ON COLUMN device_credentials.expires_at IS 'when it stops being good; null when it does not';
COMMENT ON COLUMN device_credentials.revoked_at IS 'when it was taken from the broker; its hash is gone then';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
