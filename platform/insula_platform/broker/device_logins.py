"""What the registry knows of a login, for a broker that asks it at each connection."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import text

from insula_tenants.broker.passwords import PasswordHash, verify_password
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound, TenantClosed, TenantUnavailable
from insula_tenants.names import mqtt_username, parse_username
from insula_tenants.registry import resolve_tenant

REMEMBERED = 2.0
"""Seconds for which a right password stays right: a device that reconnects without pause costs no queries.
A wrong one is looked up each time, so that a new password counts at once."""

_QUERY = text(
    "SELECT d.slug, c.number, c.password_hash, c.salt, c.iterations FROM device_credentials c"
    " JOIN devices d ON d.id = c.device_id WHERE d.slug = ANY(:slugs)"
    " AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now())"
)


class DeviceLogins:
    """Reads `device_credentials` of all tenants. Blocking work runs in threads."""

    def __init__(self, databases: Databases) -> None:
        """`databases` is the services': each tenant is read under its own role."""
        self._databases = databases
        self._remembered: dict[str, tuple[float, PasswordHash]] = {}

    async def verify(self, username: str, password: str) -> PasswordHash | None:
        """The login's hash when this is its password, else None."""
        if username in self._remembered:
            until, remembered = self._remembered[username]
            if until > time.monotonic() and verify_password(password, remembered):
                return remembered
        kept = (await self.current([username])).get(username)
        if kept is None or not verify_password(password, kept):
            return None
        self._remembered[username] = (time.monotonic() + REMEMBERED, kept)
        return kept

    def forget(self, username: str) -> None:
        """Ask the registry again when this login is used next."""
        self._remembered.pop(username, None)

    async def current(self, usernames: Iterable[str]) -> dict[str, PasswordHash]:
        """The hashes of those user names that have a login now."""
        return await asyncio.to_thread(self._read, list(usernames))

    def _read(self, usernames: Iterable[str]) -> dict[str, PasswordHash]:
        devices: defaultdict[str, list[str]] = defaultdict(list)
        for username in usernames:
            if login := parse_username(username):
                devices[login.tenant].append(login.device)
        found: dict[str, PasswordHash] = {}
        for tenant, slugs in devices.items():
            found |= self._read_tenant(tenant, slugs)
        return found

    def _read_tenant(self, tenant: str, slugs: list[str]) -> Mapping[str, PasswordHash]:
        try:
            with self._databases.core() as core:
                context = resolve_tenant(core, tenant)
            with self._databases.tenant(context) as session:
                return {
                    mqtt_username(tenant, row.slug, row.number): PasswordHash(
                        bytes(row.password_hash), bytes(row.salt), row.iterations
                    )
                    for row in session.execute(_QUERY, {"slugs": slugs})
                }
        except (NotFound, TenantClosed, TenantUnavailable):
            return {}
