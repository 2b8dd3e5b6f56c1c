"""Functions that every tenant's queries may call, whatever the storage engine."""

from alembic import op

from insula_tenants.storage import detect_engine

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    connection = op.get_bind()
    detect_engine(connection).create_functions(connection)
