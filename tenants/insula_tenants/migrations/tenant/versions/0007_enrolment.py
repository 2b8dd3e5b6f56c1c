"""Batches of devices, claim codes and devices that wait for approval."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
