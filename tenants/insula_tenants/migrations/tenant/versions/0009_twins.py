"""Twins, commands, presence and diagnostics."""

from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
