"""Meters, tariffs and baselines."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
