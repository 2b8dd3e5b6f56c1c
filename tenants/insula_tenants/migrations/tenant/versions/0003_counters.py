"""Where a meter's register begins anew."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = """
ALTER TABLE points ADD COLUMN rollover_at double precision
    CHECK (rollover_at IS NULL OR kind = 'counter' AND rollover_at > 0 AND rollover_at < 'infinity');
COMMENT ON COLUMN points.rollover_at IS 'where the register of a counter begins anew at 0; null when nobody said';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
