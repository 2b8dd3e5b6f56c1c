"""Tenants resolved a moment ago, so that a hot read costs no look into the registry."""

from __future__ import annotations

import time

from anyio import to_thread

from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.registry import resolve_tenant

LIFETIME = 5.0
"""Seconds a resolved tenant is believed. What is not there is asked for anew each time."""


class TenantCache:
    """Contexts by slug. It can only be asked for one tenant by name, so it never answers with another's."""

    def __init__(self, databases: Databases) -> None:
        """`databases` holds the registry."""
        self._databases = databases
        self._known: dict[str, tuple[TenantContext, float]] = {}

    async def resolve(self, slug: str) -> TenantContext:
        """As `registry.resolve_tenant`, errors included, without blocking the event loop."""
        known = self._known.get(slug)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        self._known.pop(slug, None)
        context = await to_thread.run_sync(self._resolve, slug)
        self._known[slug] = (context, time.monotonic() + LIFETIME)
        return context

    def _resolve(self, slug: str) -> TenantContext:
        with self._databases.core() as core:
            return resolve_tenant(core, slug)
