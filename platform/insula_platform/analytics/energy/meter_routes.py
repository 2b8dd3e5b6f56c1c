"""`…/meters`: which counter measures what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from insula_platform.access import Access, Requires, visible_spaces
from insula_platform.analytics.energy.meter_schemas import Meter, MeterChanges, NewMeter
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import audit
from insula_tenants.analytics.measured import Where
from insula_tenants.devices import find_point
from insula_tenants.energy import meters
from insula_tenants.energy.meters import MeterView, find_meter

router = APIRouter(prefix="/api/v1/tenants/{tenant}/meters", tags=["Energy"], responses=PROBLEM_RESPONSES)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
MeterId = Annotated[int, Path(description="The meter's id.", ge=1, lt=2**31, examples=[1])]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.get("")
def get_meters(
    access: Reader,
    platform: CurrentPlatform,
    building: Annotated[int | None, Query(ge=1, lt=2**31, description="Only those in this building.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Meter]:
    """The meters, by id. A grant for some spaces sees those that measure nothing else."""
    after = decode_cursor(cursor, int)[0] if cursor else 0
    with platform.databases.tenant(access.context) as session:
        where = Where(building=building, within=visible_spaces(access, session))
        found = meters.list_meters(session, where, after=after, limit=limit + 1)
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page(items=[meter_of(one) for one in found[:limit]], next_cursor=more)


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": Meter, "description": "Made by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_meter(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewMeter,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Meter:
    """Say which counter measures what: a building, a storey, a space or an equipment.

    409 when another meter reads the counter.
    """
    facts = asked.model_dump()
    with platform.databases.core() as core:
        once = Once(core, access, "meters", idempotency_key, asked.model_dump(mode="json"))
        with platform.databases.tenant(access.context) as session:
            _check_named(access, session, facts)
            made = once.made["meter"] if once.made is not None else None
            if made is None:
                made = meters.add_meter(session, meters.NewMeter(**facts)).id
            view = find_meter(session, made, within=visible_spaces(access, session))
        if once.made is None:
            once.keep({"meter": view.id})
            audit.record(
                core,
                access.actor,
                "meter.created",
                tenant=access.context.id,
                target=str(view.id),
                detail=asked.model_dump(mode="json", exclude_unset=True),
            )
        else:
            response.status_code = 200
    response.headers["ETag"] = _tag(view)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/meters/{view.id}"
    return meter_of(view)


@router.get("/{meter}")
def get_meter(access: Reader, platform: CurrentPlatform, meter: MeterId, response: Response) -> Meter:
    """One meter. What it counted is at `…/analytics/energy`."""
    with platform.databases.tenant(access.context) as session:
        view = find_meter(session, meter, within=visible_spaces(access, session))
    response.headers["ETag"] = _tag(view)
    return meter_of(view)


@router.patch("/{meter}", responses=problem_responses(409, 412))
def patch_meter(
    access: Writer,
    platform: CurrentPlatform,
    meter: MeterId,
    asked: MeterChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Meter:
    """Change a meter: what is left out stays. Another `point_id` is its counter from the start."""
    changes = asked.model_dump(exclude_unset=True)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            within = visible_spaces(access, session)
            there = meters.lock_meter(session, meter, within=within)
            check_if_match(if_match, _tag(there))
            _check_named(access, session, changes)
            if within is not None and there.submeter_of is None and changes.get("submeter_of") is None:
                # Who does not see what it is a submeter of did not mean to change that.
                changes.pop("submeter_of", None)
            meters.change_meter(session, meter, changes)
            view = find_meter(session, meter, within=within)
        audit.record(
            core,
            access.actor,
            "meter.changed",
            tenant=access.context.id,
            target=str(meter),
            detail=asked.model_dump(mode="json", exclude_unset=True),
        )
    response.headers["ETag"] = _tag(view)
    return meter_of(view)


@router.delete("/{meter}", status_code=204, response_class=Response, responses=problem_responses(412))
def delete_meter(
    access: Writer, platform: CurrentPlatform, meter: MeterId, if_match: IfMatch = None
) -> Response:
    """Forget a meter: the counter and its readings stay, its submeters become main meters."""
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            there = meters.lock_meter(session, meter, within=visible_spaces(access, session))
            check_if_match(if_match, _tag(there))
            meters.delete_meter(session, meter)
        audit.record(core, access.actor, "meter.deleted", tenant=access.context.id, target=str(meter))
    return Response(status_code=204)


def meter_of(view: MeterView) -> Meter:
    """A meter as the API shows it."""
    return Meter(**{name: getattr(view, name) for name in Meter.model_fields})


def _check_named(access: Access, session: Session, told: Mapping[str, Any]) -> None:
    """`NotFound` for what a request names and the grant does not cover, as for what does not exist."""
    within = visible_spaces(access, session)
    if within is None:
        return
    if told.get("point_id") is not None:
        find_point(session, told["point_id"], within=within)
    if told.get("submeter_of") is not None:
        find_meter(session, told["submeter_of"], within=within)
    meters.check_covered(session, told, within)


def _tag(view: MeterView) -> str:
    return etag_of(meter_of(view).model_dump(mode="json"))
