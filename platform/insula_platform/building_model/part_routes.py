"""`…/zones`, `…/equipment` and `…/model-points`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from insula_platform.building_model.desk import Cascade, Limit, Reading, Writing, made_before
from insula_platform.building_model.schemas import (
    Equipment,
    EquipmentChanges,
    ModelPoint,
    ModelPointChanges,
    NewEquipment,
    NewModelPoint,
    NewZone,
    Zone,
    ZoneChanges,
)
from insula_platform.etags import IfMatch
from insula_platform.idempotency import IdempotencyKey
from insula_platform.paging import Cursor, Page
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Building model"], responses=PROBLEM_RESPONSES)

ZoneId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
EquipmentId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
ModelPointId = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]


@router.get("/zones")
def get_zones(desk: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[Zone]:
    """The zones, by id: those of which your grant covers a space."""
    return desk.page("zone", Zone, limit, cursor)


@router.post("/zones", status_code=201, responses=made_before(Zone))
def post_zone(desk: Writing, asked: NewZone, idempotency_key: IdempotencyKey = None) -> Zone:
    """Make a zone. 409 when the IRI is taken."""
    return desk.create("zone", Zone, asked, idempotency_key)


@router.get("/zones/{zone_id}")
def get_zone(desk: Reading, zone_id: ZoneId) -> Zone:
    """One zone."""
    return desk.one("zone", Zone, zone_id)


@router.patch("/zones/{zone_id}", responses=problem_responses(409, 412))
def patch_zone(desk: Writing, zone_id: ZoneId, asked: ZoneChanges, if_match: IfMatch = None) -> Zone:
    """Change a zone: what is left out stays. Its `spaces` are then those that are given, and no others."""
    return desk.change("zone", Zone, zone_id, asked, if_match)


@router.delete(
    "/zones/{zone_id}", status_code=204, response_class=Response, responses=problem_responses(409, 412)
)
def delete_zone(
    desk: Writing, zone_id: ZoneId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove a zone; its spaces stay. 409 `takes-along` when points of the model tell about it."""
    return desk.delete("zone", Zone, zone_id, if_match, cascade=cascade)


@router.get("/equipment")
def get_all_equipment(desk: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[Equipment]:
    """The equipment, by id: that which stands where your grant covers all."""
    return desk.page("equipment", Equipment, limit, cursor)


@router.post("/equipment", status_code=201, responses=made_before(Equipment))
def post_equipment(desk: Writing, asked: NewEquipment, idempotency_key: IdempotencyKey = None) -> Equipment:
    """Make an equipment. 409 when the IRI is taken."""
    return desk.create("equipment", Equipment, asked, idempotency_key)


@router.get("/equipment/{equipment_id}")
def get_equipment(desk: Reading, equipment_id: EquipmentId) -> Equipment:
    """One equipment."""
    return desk.one("equipment", Equipment, equipment_id)


@router.patch("/equipment/{equipment_id}", responses=problem_responses(409, 412))
def patch_equipment(
    desk: Writing, equipment_id: EquipmentId, asked: EquipmentChanges, if_match: IfMatch = None
) -> Equipment:
    """Change an equipment: what is left out stays. It then feeds what is given, and nothing else."""
    return desk.change("equipment", Equipment, equipment_id, asked, if_match)


@router.delete(
    "/equipment/{equipment_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(409, 412),
)
def delete_equipment(
    desk: Writing, equipment_id: EquipmentId, if_match: IfMatch = None, cascade: Cascade = False
) -> Response:
    """Remove an equipment; what is part of it stays.

    409 `takes-along` when points of the model tell about it: `cascade=true` lets them go along.
    """
    return desk.delete("equipment", Equipment, equipment_id, if_match, cascade=cascade)


@router.get("/model-points")
def get_model_points(desk: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[ModelPoint]:
    """The points of the model, by id: those that tell about what your grant covers."""
    return desk.page("model-point", ModelPoint, limit, cursor)


@router.post("/model-points", status_code=201, responses=made_before(ModelPoint))
def post_model_point(
    desk: Writing, asked: NewModelPoint, idempotency_key: IdempotencyKey = None
) -> ModelPoint:
    """Make a point of the model. 409 when the IRI is taken, or the device's point has another one."""
    return desk.create("model-point", ModelPoint, asked, idempotency_key)


@router.get("/model-points/{model_point_id}")
def get_model_point(desk: Reading, model_point_id: ModelPointId) -> ModelPoint:
    """One model point."""
    return desk.one("model-point", ModelPoint, model_point_id)


@router.patch("/model-points/{model_point_id}", responses=problem_responses(409, 412))
def patch_model_point(
    desk: Writing, model_point_id: ModelPointId, asked: ModelPointChanges, if_match: IfMatch = None
) -> ModelPoint:
    """Change a point of the model: what is left out stays. Null for `point_id` leaves it without values."""
    return desk.change("model-point", ModelPoint, model_point_id, asked, if_match)


@router.delete(
    "/model-points/{model_point_id}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(409, 412),
)
def delete_model_point(desk: Writing, model_point_id: ModelPointId, if_match: IfMatch = None) -> Response:
    """Remove a point of the model. A device's point that brought its values stays, with its readings."""
    return desk.delete("model-point", ModelPoint, model_point_id, if_match, cascade=False)
