"""Analyses that run in the background, and what they found."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
