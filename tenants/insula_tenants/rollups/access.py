"""One connection that acts as the owner in a tenant's schema, for one worker at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.names import OWNER_ROLE

_SETTINGS = """
SELECT set_config('role', :role, false), set_config('search_path', quote_ident(:schema), false),
       set_config('lock_timeout', '2s', false), set_config('work_mem', '64MB', false)
"""
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('storage:' || :schema, 0))"


@contextmanager
def alone_in(admins: Administration, context: TenantContext) -> Iterator[Connection | None]:
    """An owner's connection in autocommit mode; None while another worker has one for the same tenant.

    Refreshing an aggregate takes transactions of its own, so it runs in none. The lock is the connection's: a
    worker that dies gives it back. Nobody waits long for a table here, nor makes others wait.
    """
    engine = admins.database(context.database).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(_SETTINGS), {"role": OWNER_ROLE, "schema": context.schema})
        taken = connection.scalar(text(_LOCK), {"schema": context.schema})
        yield connection if taken else None
