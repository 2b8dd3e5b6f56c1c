"""What the pipeline knows of tenants, devices and points: a cache whose staleness is bounded.

Known devices cost no query. Unknown devices and new points of a batch cost one query each a tenant,
however many messages name them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_ingest.outages import Outages
from insula_tenants.context import TenantContext
from insula_tenants.database import MAIN, Databases
from insula_tenants.devices import Device, Point
from insula_tenants.errors import NotFound, TenantClosed, TenantDeleting
from insula_tenants.registry import closed_tenants, resolve_closed_or_open

_ROWS_AT_ONCE = 10_000  # a statement takes 65 535 parameters

STALENESS = 30.0
"""Seconds after which an entry is read again."""
CLOSED_STALENESS = 1.0
"""Seconds after which the list of closed tenants is read again: so soon does a suspension count."""


@dataclass(slots=True)
class DeviceEntry:
    """A device's key and its points, name → id."""

    id: int
    read_at: float
    points: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _TenantEntry:
    context: TenantContext | None
    read_at: float
    devices: dict[str, DeviceEntry] = field(default_factory=dict)


class DeviceRegistry:
    """Resolves names to ids. One per process; used by one thread."""

    def __init__(
        self,
        databases: Databases,
        outages: Outages,
        *,
        max_points: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_points`: how many points a device may have by naming them in its telemetry.

        Every look-up raises `DatabaseAway` when the database it needs is away.
        """
        self._databases = databases
        self._outages = outages
        self._max_points = max_points
        self._clock = clock
        self._tenants: dict[str, _TenantEntry] = {}
        self._closed: dict[UUID, TenantClosed] = {}
        self._closed_read_at = float("-inf")

    def tenant(self, slug: str) -> TenantContext | None:
        """The tenant's context, closed or not, or None when there is no such tenant.

        Raises `TenantUnavailable` when its schema is not one that this release can write.
        """
        entry = self._tenants.get(slug)
        if entry is None or self._stale(entry.read_at):
            entry = self._read_tenant(slug, entry)
        return entry.context

    def why_closed(self, context: TenantContext) -> TenantClosed | None:
        """Why nothing may be stored for this tenant; None when it may."""
        if self._clock() - self._closed_read_at > CLOSED_STALENESS:
            with self._outages.watching(MAIN), self._databases.core() as core:
                self._closed = {tenant.id: tenant.why for tenant in closed_tenants(core)}
            self._closed_read_at = self._clock()
        return self._closed.get(context.id)

    def is_gone(self, context: TenantContext) -> bool:
        """Whether the tenant is erased, or on its way there; asks the registry anew."""
        self._tenants.pop(context.slug, None)
        self._closed_read_at = float("-inf")
        return self.tenant(context.slug) != context or isinstance(self.why_closed(context), TenantDeleting)

    def devices(self, context: TenantContext, wanted: Mapping[str, set[str]]) -> dict[str, DeviceEntry]:
        """The devices of `wanted` (slug → names of points) that exist, with those points.

        A point not seen before is made, up to the device's limit; one over it stays missing.
        """
        known = self._tenants[context.slug].devices
        missing = [
            slug for slug in wanted if (entry := known.get(slug)) is None or self._stale(entry.read_at)
        ]
        if missing:
            with self._session(context) as session:
                found = self._read_devices(session, missing)
            for slug in missing:
                known.pop(slug, None)
            known.update(found)
        entries = {slug: known[slug] for slug in wanted if slug in known}
        new = {
            slug: fresh[: max(0, self._max_points - len(entry.points))]
            for slug, entry in entries.items()
            if (fresh := sorted(wanted[slug] - entry.points.keys()))
        }
        if any(new.values()):
            with self._session(context) as session:
                made = self._make_points(session, {entries[slug].id: names for slug, names in new.items()})
            by_id = {entry.id: entry for entry in entries.values()}
            for device_id, name, point_id in made:
                by_id[device_id].points[name] = point_id
        return entries

    @contextmanager
    def _session(self, context: TenantContext) -> Iterator[Session]:
        with self._outages.watching(context.database), self._databases.tenant(context) as session:
            yield session

    def _stale(self, read_at: float) -> bool:
        return self._clock() - read_at > STALENESS

    def _read_tenant(self, slug: str, old: _TenantEntry | None) -> _TenantEntry:
        context: TenantContext | None = None
        with self._outages.watching(MAIN), self._databases.core() as core:
            try:
                context = resolve_closed_or_open(core, slug)
            except NotFound:
                context = None
        # A tenant made anew under an old name has other ids: what was known of the old one is void.
        same = old is not None and context == old.context
        entry = _TenantEntry(context, self._clock(), old.devices if old is not None and same else {})
        self._tenants[slug] = entry
        return entry

    def _read_devices(self, session: Session, slugs: list[str]) -> dict[str, DeviceEntry]:
        now = self._clock()
        found: dict[str, DeviceEntry] = {}
        query = (
            select(Device.slug, Device.id, Point.name, Point.id)
            .outerjoin(Point, Point.device_id == Device.id)
            .where(Device.slug.in_(slugs))
        )
        for slug, device_id, name, point_id in session.execute(query):
            entry = found.setdefault(slug, DeviceEntry(device_id, now))
            if name is not None:
                entry.points[name] = point_id
        return found

    def _make_points(self, session: Session, names: Mapping[int, list[str]]) -> list[tuple[int, str, int]]:
        rows = [{"device_id": device_id, "name": name} for device_id, each in names.items() for name in each]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            session.execute(
                insert(Point).values(rows[start : start + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            )
        query = select(Point.device_id, Point.name, Point.id).where(Point.device_id.in_(names))
        return [(device_id, name, point_id) for device_id, name, point_id in session.execute(query)]
