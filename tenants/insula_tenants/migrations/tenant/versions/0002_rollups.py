"""Rollups, how far they reach, and where they are not right yet."""

from alembic import op

from insula_tenants.storage import detect_engine

revision = "0002"
down_revision = "0001"

SCHEMA = """
CREATE TABLE dirty_ranges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    starting timestamptz NOT NULL,
    ending timestamptz NOT NULL,
    CHECK (starting < ending)
);
COMMENT ON TABLE dirty_ranges IS 'half-open stretches in which readings came late: their rollups are not right';

CREATE TABLE rollup_state (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    complete_until timestamptz NOT NULL,
    raw_from timestamptz
);
COMMENT ON COLUMN rollup_state.complete_until IS 'rollups hold everything before it, dirty ranges excepted';
COMMENT ON COLUMN rollup_state.raw_from IS 'raw readings before it were dropped; null when none were';
"""

# A tenant that has readings already: everything of them is still to be rolled up. Asked when the readings are locked
# for their index: nobody of the old release, who marks nothing, is just storing the first ones.
BEGINNING = """
INSERT INTO rollup_state (complete_until)
SELECT CASE WHEN EXISTS (SELECT FROM readings) THEN timestamptz '2000-01-01T00:00:00Z'
            ELSE date_bin('15 minutes', now() - interval '30 minutes', timestamptz '2000-01-01T00:00:00Z') END;
"""

# The services add marks. What becomes of them is the worker's business, which acts as the owner.
RIGHTS = """
DO $$
BEGIN
    EXECUTE format(
        'REVOKE INSERT, UPDATE, DELETE ON rollup_state, readings_15m, readings_1h, readings_1d FROM %I',
        current_schema());
    EXECUTE format('REVOKE UPDATE, DELETE ON dirty_ranges FROM %I', current_schema());
END
$$;
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
    detect_engine(connection).create_rollups(connection)
    connection.exec_driver_sql(BEGINNING, execution_options={"no_parameters": True})
    connection.exec_driver_sql(RIGHTS, execution_options={"no_parameters": True})
