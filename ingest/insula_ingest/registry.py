"""What ingest knows of devices and points: a cache whose staleness is bounded.

Known devices cost no query. Unknown devices and new points of a batch cost one query each a tenant,
however many messages name them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_ingest.outages import Outages
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import Device, Point

_ROWS_AT_ONCE = 10_000  # a statement takes 65 535 parameters

STALENESS = 30.0
"""Seconds after which a device is read again."""


@dataclass(slots=True)
class DeviceEntry:
    """A device's key and its points, name → id."""

    id: int
    read_at: float
    points: dict[str, int] = field(default_factory=dict)


class DeviceRegistry:
    """Resolves names of devices and points to ids. One per database; used by one thread."""

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
        self._known: dict[UUID, dict[str, DeviceEntry]] = {}

    def known(self, context: TenantContext) -> dict[str, DeviceEntry]:
        """The tenant's devices that are known, by slug; some may be stale."""
        return self._known.setdefault(context.id, {})

    def fresh_since(self) -> float:
        """Entries read before this must be asked for again."""
        return self._clock() - STALENESS

    def forget(self, context: TenantContext) -> None:
        """The tenant is gone."""
        self._known.pop(context.id, None)

    def find(
        self, context: TenantContext, wanted: Mapping[str, set[str]], *, most_points: int | None = None
    ) -> None:
        """Learn of the devices of `wanted` (slug → names of points), as far as they exist, and those points.

        A point not seen before is made, up to the device's limit and to `most_points` of the tenant; one
        over it stays missing.
        """
        known = self.known(context)
        fresh_since = self.fresh_since()
        missing = [
            slug for slug in wanted if (entry := known.get(slug)) is None or entry.read_at < fresh_since
        ]
        if missing:
            # Those that are stale soon come with them: else each would cost a query of its own.
            half = fresh_since + STALENESS / 2
            missing += [slug for slug, entry in known.items() if entry.read_at < half and slug not in wanted]
            with self._session(context) as session:
                found = self._read_devices(session, missing)
            for slug in missing:
                known.pop(slug, None)
            known.update(found)
        entries = {slug: known[slug] for slug in wanted if slug in known}
        new = {
            entry.id: fresh[: max(0, self._max_points - len(entry.points))]
            for slug, entry in entries.items()
            if (fresh := sorted(wanted[slug] - entry.points.keys()))
        }
        if any(new.values()):
            with self._session(context) as session:
                made = self._make_points(session, new, most_points)
            by_id = {entry.id: entry for entry in entries.values()}
            for device_id, name, point_id in made:
                by_id[device_id].points[name] = point_id

    @contextmanager
    def _session(self, context: TenantContext) -> Iterator[Session]:
        with self._outages.watching(context.database), self._databases.tenant(context) as session:
            session.execute(text("SELECT set_config('statement_timeout', '10s', true)"))
            yield session

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

    def _make_points(
        self, session: Session, names: Mapping[int, list[str]], most: int | None
    ) -> list[tuple[int, str, int]]:
        rows = [{"device_id": device_id, "name": name} for device_id, each in names.items() for name in each]
        if most is not None:
            rows = rows[: max(0, most - (session.scalar(select(func.count()).select_from(Point)) or 0))]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            session.execute(
                insert(Point).values(rows[start : start + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            )
        query = select(Point.device_id, Point.name, Point.id).where(Point.device_id.in_(names))
        return [(device_id, name, point_id) for device_id, name, point_id in session.execute(query)]
