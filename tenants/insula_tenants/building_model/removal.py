"""Take a thing out of a building model, with what stands in it, or say what that would be."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from insula_tenants.building_model.changes import lock_model, lock_thing
from insula_tenants.building_model.coverage import Coverage
from insula_tenants.building_model.kinds import MODELS, Kind, column_of, words_of
from insula_tenants.building_model.models import Equipment, ModelPoint
from insula_tenants.devices.models import Device
from insula_tenants.energy.models import Meter, Tariff
from insula_tenants.errors import Conflict

_WITHIN: tuple[tuple[Kind, Kind], ...] = (("site", "building"), ("building", "storey"), ("storey", "space"))
"""What stands in what, from the top."""


class TakesAlong(Conflict):
    """Other things stand in it."""

    type = "takes-along"

    def __init__(self, kind: Kind, row_id: int, counts: Mapping[str, int]) -> None:
        """`counts` says how many of each kind would go, and how many devices would lose their place."""
        told = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in counts.items())
        super().__init__(
            f"{words_of(kind)} {row_id} has {told}: move them, or repeat with cascade=true. Devices stay, "
            "and stand nowhere then; the others go with it"
        )
        self.members = {"takes_along": dict(counts)}


def delete_thing(
    session: Session, kind: Kind, row_id: int, *, cascade: bool, coverage: Coverage | None = None
) -> dict[str, int]:
    """Remove the thing and, with `cascade`, what stands in it; returns how many of each that were.

    With a place goes all that stands in it but devices: they stay, with their readings, and stand nowhere.
    With what a meter measures goes the meter, with a building its tariffs.
    With a zone or an equipment go the points of the model that tell about it; what stands in the zone or is
    part of the equipment stays.

    Raises `NotFound`, `NotAllowed`, and without `cascade` `TakesAlong` where there is something.
    """
    lock_model(session)
    row = lock_thing(session, kind, row_id, coverage=coverage)
    places = _places_of(session, kind, row_id)
    equipment = set(places["equipment"])
    if kind != "equipment":
        equipment |= _ids(session, Equipment, {one: ids for one, ids in places.items() if one != "zone"})
    points = _ids(session, ModelPoint, {**places, "equipment": equipment})
    devices = session.scalar(
        select(func.count()).select_from(Device).where(Device.space_id.in_(places["space"]))
    )
    counts = {
        "buildings": len(places["building"]) - (kind == "building"),
        "storeys": len(places["storey"]) - (kind == "storey"),
        "spaces": len(places["space"]) - (kind == "space"),
        "equipment": len(equipment) - (kind == "equipment"),
        "model_points": len(points) - (kind == "model-point"),
        "meters": len(_ids(session, Meter, {**places, "equipment": equipment})),
        "tariffs": len(_ids(session, Tariff, {"building": places["building"]})),
        "devices": devices or 0,
    }
    counts = {what: number for what, number in counts.items() if number > 0}
    if counts and not cascade:
        raise TakesAlong(kind, row_id, counts)
    session.execute(delete(ModelPoint).where(ModelPoint.id.in_(points)))
    session.execute(delete(Equipment).where(Equipment.id.in_(equipment)))
    session.expunge(row)
    model = MODELS[kind]
    session.execute(delete(model).where(model.id == row_id))
    return counts


def _places_of(session: Session, kind: Kind, row_id: int) -> dict[Kind, set[int]]:
    """Ids of the thing and of the buildings, storeys and spaces in it."""
    places: dict[Kind, set[int]] = {each: set() for each in MODELS}
    places[kind] = {row_id}
    for outer, inner in _WITHIN:
        model = MODELS[inner]
        query = select(model.id).where(getattr(model, column_of(outer)).in_(places[outer]))
        places[inner] |= set(session.scalars(query))
    return places


def _ids(
    session: Session,
    model: type[Equipment | ModelPoint | Meter | Tariff],
    places: Mapping[Kind, Collection[int]],
) -> set[int]:
    """Ids of what stands in, or tells about, one of these."""
    columns = [
        getattr(model, column_of(kind)).in_(ids)
        for kind, ids in places.items()
        if ids and hasattr(model, column_of(kind))
    ]
    return set(session.scalars(select(model.id).where(or_(False, *columns))))
