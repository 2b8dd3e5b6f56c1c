"""Twins, commands, presence and what diagnostics tell."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
CREATE TABLE twins (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL UNIQUE REFERENCES devices ON DELETE CASCADE,
    desired jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(desired) = 'object'),
    desired_version bigint NOT NULL DEFAULT 0,
    desired_at timestamptz,
    reported jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(reported) = 'object'),
    reported_version bigint NOT NULL DEFAULT 0,
    reported_at timestamptz
);
COMMENT ON TABLE twins IS 'what each device is to be, and what it says it is';
COMMENT ON COLUMN twins.desired_version IS 'changes of the desired state so far; 0 when nobody has set any';
COMMENT ON COLUMN twins.reported_version IS 'changes of the reported state so far';

CREATE TABLE desired_outbox (
    device_id integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    version bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE desired_outbox IS 'devices whose desired state the broker has not acknowledged yet';

CREATE TABLE commands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    device_id integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    name text NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sent', 'succeeded', 'failed', 'timed_out', 'cancelled')),
    timeout integer NOT NULL CHECK (timeout > 0),
    deliver_when_back boolean NOT NULL,
    actor_kind text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    result jsonb,
    error text,
    result_at timestamptz,
    late boolean NOT NULL DEFAULT false
);
CREATE INDEX commands_device ON commands (device_id, id);
CREATE INDEX commands_open ON commands (id) WHERE state IN ('waiting', 'sent');
COMMENT ON COLUMN commands.key IS 'the id in topics and URLs';
COMMENT ON COLUMN commands.timeout IS 'seconds the device has for its result';
COMMENT ON COLUMN commands.expires_at IS 'when the result is late; null while it waits for the device to come back';
COMMENT ON COLUMN commands.late IS 'the result came after the command had timed out or was cancelled';

CREATE TABLE device_presence (
    device_id integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    connected boolean NOT NULL,
    since timestamptz NOT NULL,
    connected_at timestamptz,
    disconnected_at timestamptz,
    stale_since timestamptz
);
COMMENT ON TABLE device_presence IS 'what the device''s status said last';
COMMENT ON COLUMN device_presence.stale_since IS 'when its silence was noted; null when it is not silent';

CREATE TABLE presence_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    state text NOT NULL CHECK (state IN ('online', 'offline', 'stale')),
    at timestamptz NOT NULL
);
CREATE INDEX presence_changes_device ON presence_changes (device_id, id);
CREATE INDEX presence_changes_at ON presence_changes (at);

-- Written again and again: there is room on each page for that, and no index to keep up.
CREATE TABLE device_health (
    device_id integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    last_message_at timestamptz,
    clock_offset double precision,
    clock_offset_at timestamptz,
    throttled bigint NOT NULL DEFAULT 0,
    throttled_at timestamptz,
    refused bigint NOT NULL DEFAULT 0,
    refused_at timestamptz,
    refused_what text,
    refused_reason text
) WITH (fillfactor = 70);
COMMENT ON TABLE device_health IS 'what ingest and the broker noticed of each device, written down now and then';
COMMENT ON COLUMN device_health.clock_offset IS 'seconds from the time a message names to its receipt, the least of a while; below zero the device''s clock is ahead';
COMMENT ON COLUMN device_health.throttled IS 'messages over a limit so far';
COMMENT ON COLUMN device_health.refused IS 'connections and messages that the broker refused so far';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
