"""What the pipeline knows of tenants, devices and points: a cache whose staleness is bounded.

Known devices cost no query. Unknown devices and new points of a batch cost one query each a tenant,
however many messages name them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from insula_ingest.codecs.sparkplug import Births, Metric
from insula_ingest.outages import Outages
from insula_tenants.context import TenantContext
from insula_tenants.database import MAIN, Databases
from insula_tenants.devices import Device, Point, SparkplugMetric
from insula_tenants.errors import NotFound, TenantClosed, TenantDeleting
from insula_tenants.registry import closed_tenants, resolve_closed_or_open

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 10_000  # a statement takes 65 535 parameters

STALENESS = 30.0
"""Seconds after which an entry is read again."""
CLOSED_STALENESS = 1.0
"""Seconds after which the list of closed tenants is read again: so soon does a suspension count."""


@dataclass(slots=True)
class DeviceEntry:
    """A device's key, its points, name → id, and what else its messages need."""

    id: int
    read_at: float
    points: dict[str, int] = field(default_factory=dict)
    gateway: str | None = None
    """The device that may publish for it."""
    births: Births | None = None
    """What its Sparkplug births have told; None until somebody asks."""


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

    def devices(self, context: TenantContext, slugs: Collection[str]) -> dict[str, DeviceEntry]:
        """Those of the devices that exist."""
        known = self._tenants[context.slug].devices
        missing = [slug for slug in slugs if (entry := known.get(slug)) is None or self._stale(entry.read_at)]
        if missing:
            with self._session(context) as session:
                found = self._read_devices(session, missing)
            for slug in missing:
                known.pop(slug, None)
            known.update(found)
        return {slug: known[slug] for slug in slugs if slug in known}

    def add_points(self, context: TenantContext, wanted: Mapping[int, tuple[DeviceEntry, set[str]]]) -> None:
        """Make the points not seen before of the devices in `wanted` (id → entry and names of points).

        Up to the device's limit: a point over it stays missing.
        """
        new = {
            device_id: fresh[: max(0, self._max_points - len(entry.points))]
            for device_id, (entry, names) in wanted.items()
            if (fresh := sorted(names - entry.points.keys()))
        }
        if any(new.values()):
            with self._session(context) as session:
                made = self._make_points(session, new)
            for device_id, name, point_id in made:
                wanted[device_id][0].points[name] = point_id

    def births(
        self, context: TenantContext, entries: Iterable[DeviceEntry], *, anew: bool = False
    ) -> dict[int, Births]:
        """What the Sparkplug births of the devices have told, by id of the device; `anew` asks again."""
        entries = list(entries)
        unread = {entry.id: entry for entry in entries if anew or entry.births is None}
        if unread:
            with self._session(context) as session:
                found = self._read_births(session, list(unread))
            for device_id, entry in unread.items():
                entry.births = Births(found.get(device_id, ()))
        return {entry.id: entry.births or Births() for entry in entries}

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
        gateways = aliased(Device)
        query = (
            select(Device.slug, Device.id, gateways.slug, Point.name, Point.id)
            .outerjoin(gateways, gateways.id == Device.gateway_id)
            .outerjoin(Point, Point.device_id == Device.id)
            .where(Device.slug.in_(slugs))
        )
        for slug, device_id, gateway, name, point_id in session.execute(query):
            entry = found.setdefault(slug, DeviceEntry(device_id, now, gateway=gateway))
            if name is not None:
                entry.points[name] = point_id
        return found

    def _read_births(self, session: Session, device_ids: list[int]) -> dict[int, list[Metric]]:
        found: dict[int, list[Metric]] = {}
        query = select(
            SparkplugMetric.device_id,
            SparkplugMetric.name,
            SparkplugMetric.alias,
            SparkplugMetric.datatype,
            SparkplugMetric.since,
        ).where(SparkplugMetric.device_id.in_(device_ids))
        for device_id, name, alias, datatype, since in session.execute(query):
            metric = Metric(
                name,
                None if alias is None else int(alias),
                datatype,
                0 if since is None else (since - _EPOCH) // _MICROSECOND,
            )
            found.setdefault(device_id, []).append(metric)
        return found

    def _make_points(self, session: Session, names: Mapping[int, list[str]]) -> list[tuple[int, str, int]]:
        rows = [{"device_id": device_id, "name": name} for device_id, each in names.items() for name in each]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            session.execute(
                insert(Point).values(rows[start : start + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            )
        query = select(Point.device_id, Point.name, Point.id).where(Point.device_id.in_(names))
        return [(device_id, name, point_id) for device_id, name, point_id in session.execute(query)]
