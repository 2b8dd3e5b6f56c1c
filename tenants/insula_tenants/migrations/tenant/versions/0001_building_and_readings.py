"""A tenant's building, devices, points, readings and dead letters."""

from alembic import op

from insula_tenants.storage import detect_engine

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE sites (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE buildings (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id integer NOT NULL REFERENCES sites ON DELETE CASCADE,
    name text NOT NULL,
    time_zone text NOT NULL,
    UNIQUE (site_id, name)
);
COMMENT ON COLUMN buildings.time_zone IS 'IANA name; local days are derived from it';
CREATE TABLE storeys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    building_id integer NOT NULL REFERENCES buildings ON DELETE CASCADE,
    name text NOT NULL,
    level integer NOT NULL,
    UNIQUE (building_id, name)
);
CREATE TABLE spaces (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    storey_id integer NOT NULL REFERENCES storeys ON DELETE CASCADE,
    name text NOT NULL,
    UNIQUE (storey_id, name)
);

CREATE TABLE devices (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'),
    name text NOT NULL,
    space_id integer REFERENCES spaces ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX devices_space ON devices (space_id);

CREATE TABLE device_credentials (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL UNIQUE REFERENCES devices ON DELETE CASCADE,
    password_hash bytea NOT NULL,
    salt bytea NOT NULL,
    iterations integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN device_credentials.password_hash IS 'PBKDF2-HMAC-SHA512, 64 bytes';

CREATE TABLE points (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    name text NOT NULL,
    brick_class text,
    unit text,
    kind text NOT NULL DEFAULT 'gauge' CHECK (kind IN ('gauge', 'counter')),
    states text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (device_id, name)
);
COMMENT ON COLUMN points.states IS 'names of the values 0, 1, …, as in {closed,open}';

CREATE TABLE latest (
    point_id integer PRIMARY KEY,
    time timestamptz NOT NULL,
    value double precision NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    times integer NOT NULL DEFAULT 1,
    topic text NOT NULL,
    device text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL,
    digest bytea NOT NULL UNIQUE
);
COMMENT ON TABLE dead_letters IS 'what could not be stored; the same message again only counts up';
COMMENT ON COLUMN dead_letters.payload IS 'as received; cut off where it is shorter than payload_bytes';
COMMENT ON COLUMN dead_letters.digest IS 'SHA-256 of topic, reason and payload';
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
    detect_engine(connection).create_readings(connection)
