"""Certificate authority, certificates and their revocation."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
