"""What of a building model a grant for some places covers.

Sites, buildings and storeys are seen where a covered space stands in them, and may be changed where the grant
covers all of them. A zone is seen with those of its spaces that are covered, and may be changed when all are.
Equipment is where it stands, a point of the model where what it tells about is; what stands nowhere is the
whole tenant's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants.building_model.kinds import MODELS, PLACES, Kind, column_of, words_of
from insula_tenants.building_model.models import ZoneSpace
from insula_tenants.errors import NotAllowed, NotFound
from insula_tenants.spaces.models import Building, Site, Space, Storey
from insula_tenants.spaces.places import Places

_DOWN: tuple[Kind, ...] = ("site", "building", "storey", "space")
"""What stands in what."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Ids by kind."""

    seen: Mapping[Kind, frozenset[int]]
    whole: Mapping[Kind, frozenset[int]]
    """All of each is covered: it may be changed, and things may be put into it."""

    def check_seen(self, kind: Kind, row_id: int) -> None:
        """`NotFound` for what the grant does not cover, as for what does not exist."""
        if row_id not in self.seen[kind]:
            raise NotFound(f"there is no {words_of(kind)} {row_id}")

    def check_whole(self, kind: Kind, row_id: int) -> None:
        """The same, and `NotAllowed` where the grant covers a part of it only."""
        self.check_seen(kind, row_id)
        if row_id not in self.whole[kind]:
            raise NotAllowed(
                f"your grant covers a part of {words_of(kind)} {row_id} only: ask somebody who has all of it"
            )


def coverage_of(session: Session, places: Sequence[Places]) -> Coverage | None:
    """What stands in all of these at once; None, for the whole tenant, where there are none."""
    if not places:
        return None
    whole = _places_within(session, places)
    seen = dict(whole)
    spaces = list(_paths(session, whole["space"]))
    for depth, kind in enumerate(_DOWN[:-1]):
        seen[kind] = whole[kind] | {path[depth] for path in spaces}
    members: defaultdict[int, set[int]] = defaultdict(set)
    for row in session.execute(select(ZoneSpace.zone_id, ZoneSpace.space_id)):
        members[row.zone_id].add(row.space_id)
    seen["zone"] = frozenset(zone for zone, has in members.items() if has & whole["space"])
    whole["zone"] = frozenset(zone for zone, has in members.items() if has <= whole["space"])
    # What stands on a storey is seen by who has the storey: the storey's name alone says less.
    for kind in PLACES:
        within = {each: whole[each] for each in PLACES[kind]}
        whole[kind] = _standing(session, kind, within)
        parts = {each: seen[each] for each in within.keys() & {"zone", "equipment"}}
        seen[kind] = _standing(session, kind, {**within, **parts})
    return Coverage(seen, whole)


def _places_within(session: Session, places: Sequence[Places]) -> dict[Kind, frozenset[int]]:
    """Sites, buildings, storeys and spaces of which the places cover all."""
    query = (
        select(Site.id, Building.id, Storey.id, Space.id)
        .outerjoin(Building, Building.site_id == Site.id)
        .outerjoin(Storey, Storey.building_id == Building.id)
        .outerjoin(Space, Space.storey_id == Storey.id)
    )
    found: dict[Kind, set[int]] = {kind: set() for kind in _DOWN}
    paths: Iterable[Sequence[int | None]] = session.execute(query)
    for path in paths:
        for depth, row_id in enumerate(path):
            if row_id is not None and all(_covers(each, path[: depth + 1]) for each in places):
                found[_DOWN[depth]].add(row_id)
    return {kind: frozenset(ids) for kind, ids in found.items()}


def _covers(places: Places, path: Iterable[int | None]) -> bool:
    """Whether something of this path, from the site down, is one of the places."""
    ids = (places.sites, places.buildings, places.storeys, places.spaces)
    return any(row_id in within for row_id, within in zip(path, ids, strict=False))


def _paths(session: Session, spaces: frozenset[int]) -> Iterable[tuple[int, int, int]]:
    query = (
        select(Building.site_id, Storey.building_id, Space.storey_id)
        .join(Storey, Storey.id == Space.storey_id)
        .join(Building, Building.id == Storey.building_id)
        .where(Space.id.in_(spaces))
    )
    return ((row[0], row[1], row[2]) for row in session.execute(query))


def _standing(session: Session, kind: Kind, within: Mapping[Kind, frozenset[int]]) -> frozenset[int]:
    """Ids of the things of this kind that stand in, or tell about, one of these."""
    model = MODELS[kind]
    columns = {each: getattr(model, column_of(each)) for each in within}
    return frozenset(
        row[0]
        for row in session.execute(select(model.id, *columns.values()))
        if any(row_id in within[each] for each, row_id in zip(columns, row[1:], strict=True))
    )
