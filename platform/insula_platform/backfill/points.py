"""The points that an upload names: found once each, made where they are new."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from insula_platform.access import Access, visible_spaces
from insula_tenants.database import Databases
from insula_tenants.devices.resolution import PointName, Resolved, known_points, resolve_points
from insula_tenants.quotas import allowance_of
from insula_tenants.telemetry.reasons import Reason

PointKey = PointName | int
"""A device's slug and a point's name, or a point's id."""

_MOST_REMEMBERED = 100_000


class NoPoint(NamedTuple):
    """Why a key has no point."""

    field: str
    reason: Reason
    detail: str


class Points:
    """What is known of the points of one upload. With `make` false, new ones are told and not made."""

    def __init__(self, databases: Databases, access: Access, *, most: int, make: bool) -> None:
        """`most` is how many points a device may have by being named."""
        self._databases = databases
        self._access = access
        self._context = access.context
        self._most = most
        self._make = make
        self._ids: dict[PointKey, int] = {}
        self.made = 0
        """Points that were new."""

    def id_of(self, key: PointKey) -> int:
        """The id of a key that `find` has found; 0 for a point that would only be made."""
        return self._ids[key]

    def find(self, keys: Collection[PointKey]) -> dict[PointKey, NoPoint]:
        """Look up those not seen before, in a few statements. Returns the keys that have no point."""
        if len(self._ids) > _MOST_REMEMBERED:
            self._ids.clear()
        ids = {key for key in keys if isinstance(key, int) and key not in self._ids}
        names = {key for key in keys if not isinstance(key, int) and key not in self._ids}
        if not ids and not names:
            return {}
        wanted: dict[str, set[str]] = {}
        for device, name in names:
            wanted.setdefault(device, set()).add(name)
        with self._databases.core() as core:
            allowance = allowance_of(core, self._context.id)
        with self._databases.tenant(self._context) as session:
            within = visible_spaces(self._access, session)
            found = known_points(session, ids, within=within) if ids else set()
            resolved = resolve_points(
                session, wanted, most=self._most, allowance=allowance, within=within, make=self._make
            )
        self._ids.update({point: point for point in found})
        for key in names & (resolved.ids.keys() | resolved.new):
            self._ids[key] = resolved.ids.get(key, 0)
        self.made += len(resolved.new)
        missing: dict[PointKey, NoPoint] = {
            key: NoPoint("point", Reason.BAD_NAME, f"there is no point {key}") for key in ids - found
        }
        return missing | {key: self._why(key, resolved) for key in names if key not in self._ids}

    def _why(self, key: PointName, resolved: Resolved) -> NoPoint:
        device, name = key
        if device not in resolved.devices:
            return NoPoint(
                "device", Reason.UNKNOWN_DEVICE, f"there is no device {device[:60]!r}: register it first"
            )
        return NoPoint(
            "name",
            Reason.TOO_MANY_POINTS,
            f"{name}: the device has {self._most} points, or the tenant all that its quota allows: no more "
            "are made by being named",
        )
