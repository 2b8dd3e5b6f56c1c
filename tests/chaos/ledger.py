"""What was sent against what is stored, value by value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text

from insula_tenants.context import TenantContext
from insula_tenants.database import Databases


class Key(NamedTuple):
    """One reading's place."""

    tenant: str
    device: str
    point: str
    microseconds: int
    """Since the epoch."""

    def __str__(self) -> str:
        time = datetime.fromtimestamp(self.microseconds / 1e6, UTC)
        return f"{self.tenant}/{self.device}/{self.point} of {time:%H:%M:%S.%f}"


@dataclass
class Difference:
    """Where the stored is not what was sent; empty when it is."""

    lost: set[Key] = field(default_factory=set)
    """Accepted and not stored."""
    twice: set[Key] = field(default_factory=set)
    """Stored more than once."""
    altered: dict[Key, tuple[float, float]] = field(default_factory=dict)
    """Stored with another value: the last that was sent, and the stored one."""
    invented: set[Key] = field(default_factory=set)
    """Stored and never sent."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.twice or self.altered or self.invented)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(found)} {name}" for name, found in vars(self).items())
        first = {name: [str(key) for key in sorted(found)[:5]] for name, found in vars(self).items() if found}
        return f"{counts}; the first are {first}" if self else "no difference"


def compare(
    sent: Mapping[Key, float], stored: Iterable[tuple[Key, float]], may_lack: frozenset[Key] = frozenset()
) -> Difference:
    """All differences; a reading of `may_lack` was sent without a promise to be kept."""
    rows = list(stored)
    found = dict(rows)
    return Difference(
        lost=sent.keys() - found.keys() - may_lack,
        twice={key for key, times in Counter(key for key, _ in rows).items() if times > 1},
        altered={key: (sent[key], value) for key, value in rows if key in sent and sent[key] != value},
        invented=found.keys() - sent.keys(),
    )


def stored_readings(databases: Databases, tenants: Iterable[TenantContext]) -> list[tuple[Key, float]]:
    """Every reading of these tenants, read from their tables."""
    query = text(
        "SELECT devices.slug, points.name, (extract(epoch FROM readings.time) * 1000000)::bigint, value "
        "FROM readings JOIN points ON points.id = point_id JOIN devices ON devices.id = device_id"
    )
    found: list[tuple[Key, float]] = []
    for context in tenants:
        with databases.tenant(context) as session:
            found += [
                (Key(context.slug, device, point, time), value)
                for device, point, time, value in session.execute(query)
            ]
    return found


def latest_values(
    databases: Databases, tenants: Iterable[TenantContext]
) -> dict[tuple[str, str, str], float]:
    """The newest value of each point, as the table `latest` has it."""
    query = text(
        "SELECT devices.slug, points.name, value "
        "FROM latest JOIN points ON points.id = point_id JOIN devices ON devices.id = device_id"
    )
    found: dict[tuple[str, str, str], float] = {}
    for context in tenants:
        with databases.tenant(context) as session:
            found |= {(context.slug, device, point): value for device, point, value in session.execute(query)}
    return found


def count_dead_letters(databases: Databases, tenants: Iterable[TenantContext]) -> int:
    """Dead letters of these tenants."""
    count = 0
    for context in tenants:
        with databases.tenant(context) as session:
            count += session.execute(text("SELECT count(*) FROM dead_letters")).scalar_one()
    return count
