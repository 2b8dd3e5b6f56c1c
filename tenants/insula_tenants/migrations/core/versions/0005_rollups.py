"""What the queries of rollups call, and how every tenant's storage does."""

from alembic import op

from insula_tenants.storage.rollups import create_rollup_functions

revision = "0005"
down_revision = "0004"

SCHEMA = """
CREATE TABLE storage_status (
    tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    engine text NOT NULL,
    complete_until timestamptz NOT NULL,
    raw_from timestamptz,
    lag_seconds double precision NOT NULL,
    dirty_ranges bigint NOT NULL,
    dirty_seconds double precision NOT NULL,
    checked_at timestamptz NOT NULL,
    refreshed_at timestamptz,
    tended_at timestamptz,
    readings bigint,
    raw_bytes bigint,
    rollup_bytes bigint
);
COMMENT ON TABLE storage_status IS 'what the worker saw of each tenant''s storage when it last looked';
COMMENT ON COLUMN storage_status.lag_seconds IS 'how far the rollups are behind where they can be';
COMMENT ON COLUMN storage_status.dirty_seconds IS 'length of the stretches that are to be rolled up anew';
COMMENT ON COLUMN storage_status.readings IS 'as the server estimates them; null until they were measured';
"""


def upgrade() -> None:
    connection = op.get_bind()
    create_rollup_functions(connection)
    connection.exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
