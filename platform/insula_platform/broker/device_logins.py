"""What the registry knows of a login, for a broker that asks it at each connection."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row, text

from insula_tenants.broker.passwords import PasswordHash, verify_password
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound, TenantClosed, TenantUnavailable
from insula_tenants.names import DeviceLogin, mqtt_username, parse_username
from insula_tenants.registry import resolve_tenant

REMEMBERED = 2.0
"""Seconds for which a right password stays right: a device that reconnects without pause costs no queries.
A wrong one is looked up each time, so that a new password counts at once."""

_QUERY = text(
    "SELECT d.slug, c.number, c.password_hash, c.salt, c.iterations FROM device_credentials c"
    " JOIN devices d ON d.id = c.device_id WHERE d.slug = ANY(:slugs) AND d.state = 'active'"
    " AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now())"
)


_WHY = text(
    "SELECT d.state, c.number, c.revoked_at, c.expires_at <= now() AS expired FROM devices d"
    " LEFT JOIN device_credentials c ON c.device_id = d.id AND c.number = :number WHERE d.slug = :slug"
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

    async def explain(self, username: str) -> str | None:
        """Why the login does not get in with some password; None when there is no such device."""
        login = parse_username(username)
        return await asyncio.to_thread(self._explain, login) if login else None

    def _explain(self, login: DeviceLogin) -> str | None:
        try:
            with self._databases.core() as core:
                context = resolve_tenant(core, login.tenant)
            with self._databases.tenant(context) as session:
                values = {"slug": login.device, "number": login.number}
                row = session.execute(_WHY, values).one_or_none()
        except TenantClosed as closed:
            return closed.title.rstrip(".").lower()
        except (NotFound, TenantUnavailable):
            return None
        return _why(row, mqtt_username(*login)) if row is not None else None

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


def _why(row: Row[Any], username: str) -> str:
    """The first of the reasons that applies to what `_WHY` has found."""
    if row.state != "active":
        return f"the device is {row.state}"
    if row.number is None:
        return f"there is no login {username}"
    if row.revoked_at is not None:
        return f"the login {username} was revoked"
    return f"the login {username} has expired" if row.expired else "the password is wrong"
