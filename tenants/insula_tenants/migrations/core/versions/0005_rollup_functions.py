"""What the queries of rollups call."""

from alembic import op

from insula_tenants.storage.rollups import create_rollup_functions

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    create_rollup_functions(op.get_bind())
