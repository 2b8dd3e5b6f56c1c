"""Which gateway speaks for a device, and what Sparkplug births have told."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
-- Checked at the end of a transaction: an import may bring a device before its gateway.
ALTER TABLE devices ADD COLUMN gateway_id integer
    REFERENCES devices ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
    CHECK (gateway_id <> id);
CREATE INDEX devices_gateway ON devices (gateway_id);
COMMENT ON COLUMN devices.gateway_id IS 'the device that may publish for this one; null when none may';

CREATE TABLE sparkplug_metrics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    name text NOT NULL,
    alias numeric(20) CHECK (alias >= 0),
    datatype bigint NOT NULL,
    since timestamptz,
    UNIQUE (device_id, name),
    UNIQUE (device_id, alias)
);
COMMENT ON TABLE sparkplug_metrics IS 'what births told of the metrics that data names by alias or without datatype';
COMMENT ON COLUMN sparkplug_metrics.alias IS 'a 64-bit number without sign; null when the metric has none';
COMMENT ON COLUMN sparkplug_metrics.datatype IS 'number of the Sparkplug datatype; 0 when it was not told';
COMMENT ON COLUMN sparkplug_metrics.since IS 'when the alias came to mean this metric; null when it never meant another';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
