"""What the registry keeps of certificates."""

from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = """
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA, execution_options={"no_parameters": True})
