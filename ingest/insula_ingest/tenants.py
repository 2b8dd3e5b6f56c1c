"""What ingest knows of tenants: a cache whose staleness is bounded, read for many tenants at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

from insula_ingest.door import Account
from insula_ingest.outages import Outages
from insula_tenants.context import TenantContext
from insula_tenants.database import MAIN, Databases
from insula_tenants.errors import NotFound, TenantClosed, TenantDeleting
from insula_tenants.quotas import Allowance, Quotas, allowances_of
from insula_tenants.registry import closed_tenants, resolve_many

STALENESS = 30.0
"""Seconds after which a tenant is read again: so soon do new limits count."""
CLOSED_STALENESS = 1.0
"""Seconds after which the list of closed tenants is read again: so soon does a suspension count."""


@dataclass(slots=True, eq=False)
class TenantEntry:
    """A tenant as topics name it."""

    slug: str
    context: TenantContext | None = None
    """None when there is no such tenant, or when it is `unavailable`."""
    unavailable: str | None = None
    """Why nothing can be written for it at the moment: a schema that this release does not know."""
    quotas: Quotas = field(default_factory=Quotas)
    storage_bytes: int | None = None
    """What the tenant's storage holds, as last measured."""
    raw_from: int = 0
    """Raw readings before it were dropped; microseconds since the epoch."""
    account: Account = field(default_factory=Account)
    read_at: float = float("-inf")

    @property
    def allowance(self) -> Allowance:
        """What new points, and the age of readings, are held to."""
        return Allowance(self.quotas, self.storage_bytes, self.raw_from)


class TenantRegistry:
    """Resolves tenants' slugs. One per process, shared by its threads."""

    def __init__(
        self, databases: Databases, outages: Outages, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """What asks the registry raises `DatabaseAway` when it is away."""
        self._databases = databases
        self._outages = outages
        self._clock = clock
        self._entries: dict[str, TenantEntry] = {}
        self._closed: dict[UUID, TenantClosed] = {}
        self._closed_read_at = float("-inf")
        self._lock = threading.Lock()

    def entry(self, slug: str) -> TenantEntry:
        """The entry of this name, the same object each time; empty until `refresh` has read it."""
        entry = self._entries.get(slug)
        if entry is None:
            entry = self._entries[slug] = TenantEntry(slug)
        return entry

    def refresh(self, entries: Collection[TenantEntry]) -> None:
        """Read again what is stale of these, and the list of closed tenants.

        With one stale entry come all that have lived half their time, so that they are read together.
        """
        now = self._clock()
        if now - self._closed_read_at > CLOSED_STALENESS:
            self._read_closed()
        if any(now - entry.read_at > STALENESS for entry in entries):
            self._read([entry for entry in entries if now - entry.read_at > STALENESS / 2])

    def read_again(self, entries: Collection[TenantEntry]) -> None:
        """Read these at once, stale or not."""
        self._read(entries)

    def why_closed(self, context: TenantContext) -> TenantClosed | None:
        """Why nothing may be stored for this tenant; None when it may. As `refresh` last read it."""
        return self._closed.get(context.id)

    def is_gone(self, entry: TenantEntry, context: TenantContext) -> bool:
        """Whether the tenant is erased, or on its way there; asks the registry anew."""
        self._read([entry])
        self._read_closed()
        return entry.context != context or isinstance(self.why_closed(context), TenantDeleting)

    def _read_closed(self) -> None:
        with self._lock, self._outages.watching(MAIN), self._databases.core() as core:
            self._closed = {tenant.id: tenant.why for tenant in closed_tenants(core)}
            self._closed_read_at = self._clock()

    def _read(self, entries: Collection[TenantEntry]) -> None:
        with self._lock, self._outages.watching(MAIN), self._databases.core() as core:
            found = resolve_many(core, [entry.slug for entry in entries])
            there = [each.id for each in found.values() if isinstance(each, TenantContext)]
            allowances = allowances_of(core, there)
        now = self._clock()
        for entry in entries:
            resolved = found[entry.slug]
            if isinstance(resolved, TenantContext):
                entry.context, entry.unavailable = resolved, None
                allowance = allowances.get(resolved.id, entry.allowance)
                entry.quotas, entry.storage_bytes = allowance.quotas, allowance.storage_bytes
                entry.raw_from = allowance.raw_from
            else:
                entry.context = None
                entry.unavailable = None if isinstance(resolved, NotFound) else resolved.detail
            entry.read_at = now
