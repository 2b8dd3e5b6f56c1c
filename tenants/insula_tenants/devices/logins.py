"""The logins of all devices, as the registry knows them: what a broker with logins of its own is to have."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from insula_tenants.broker.access import Login
from insula_tenants.broker.passwords import PasswordHash
from insula_tenants.database import Databases
from insula_tenants.names import mqtt_username
from insula_tenants.registry.service import ACTIVE, list_tenants, resolve_closed_or_open

_QUERY = text(
    "SELECT d.slug, c.number, c.password_hash, c.salt, c.iterations FROM device_credentials c"
    " JOIN devices d ON d.id = c.device_id WHERE c.revoked_at IS NULL ORDER BY d.slug, c.number"
)


class RegisteredLogin(NamedTuple):
    """A login, and the hash of its password."""

    login: Login
    kept: PasswordHash


def registered_logins(databases: Databases) -> list[RegisteredLogin]:
    """All logins that were not revoked, those of closed tenants too.

    One that has expired is there until it was revoked, which takes it from the broker in good order. Raises
    what opening a tenant does, `TenantUnavailable` among it: half of the logins are no answer.
    """
    with databases.core() as core:
        tenants = {tenant.slug: tenant.status for tenant in list_tenants(core)}
    return [
        login
        for slug, status in tenants.items()
        for login in _of_tenant(databases, slug, closed=status != ACTIVE)
    ]


def _of_tenant(databases: Databases, slug: str, *, closed: bool) -> list[RegisteredLogin]:
    with databases.core() as core:
        context = resolve_closed_or_open(core, slug)
    with databases.tenant(context) as session:
        return [
            RegisteredLogin(
                Login(slug, row.slug, mqtt_username(slug, row.slug, row.number), closed),
                PasswordHash(bytes(row.password_hash), bytes(row.salt), row.iterations),
            )
            for row in session.execute(_QUERY)
        ]
