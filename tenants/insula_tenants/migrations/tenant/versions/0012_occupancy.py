"""Occupancy."""

from alembic import op

revision = "0012"
down_revision = "0011"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
