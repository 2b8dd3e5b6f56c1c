"""Device types, and the life of a device."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
