"""`…/tariffs` and `…/emission-factors`: what energy costs and emits. They are the whole tenant's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from insula_platform.access import check_whole_tenant
from insula_platform.analytics.energy.meter_routes import Limit, Reader, Writer
from insula_platform.analytics.energy.tariff_schemas import (
    EmissionFactor,
    EmissionFactorChanges,
    NewEmissionFactor,
    NewTariff,
    Tariff,
    TariffChanges,
)
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import audit
from insula_tenants.energy import tariffs

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Energy"], responses=PROBLEM_RESPONSES)

TariffId = Annotated[int, Path(description="The tariff's id.", ge=1, lt=2**31, examples=[1])]
FactorId = Annotated[int, Path(description="The emission factor's id.", ge=1, lt=2**31, examples=[1])]


@router.get("/tariffs")
def get_tariffs(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[Tariff]:
    """The tariffs, by id."""
    check_whole_tenant(access)
    after = decode_cursor(cursor, int)[0] if cursor else 0
    with platform.databases.tenant(access.context) as session:
        rows = tariffs.list_tariffs(session, after=after, limit=limit + 1)
        items = [Tariff.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor(items[-1].id) if len(rows) > limit else None)


@router.post(
    "/tariffs",
    status_code=201,
    responses={
        200: {"model": Tariff, "description": "Made by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_tariff(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewTariff,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Tariff:
    """Say what a carrier costs from a day on, in one building or in all that have no tariff of their own.

    409 when there is one from this day on already.
    """
    check_whole_tenant(access)
    with platform.databases.core() as core:
        once = Once(core, access, "tariffs", idempotency_key, asked.model_dump(mode="json"))
        with platform.databases.tenant(access.context) as session:
            if once.made is None:
                row = tariffs.add_tariff(session, asked.model_dump())
            else:
                row = tariffs.find_tariff(session, once.made["tariff"])
            tariff = Tariff.model_validate(row)
        if once.made is None:
            once.keep({"tariff": tariff.id})
            audit.record(
                core,
                access.actor,
                "tariff.created",
                tenant=access.context.id,
                target=str(tariff.id),
                detail=asked.model_dump(mode="json", exclude_unset=True),
            )
        else:
            response.status_code = 200
    response.headers["ETag"] = _tag(tariff)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/tariffs/{tariff.id}"
    return tariff


@router.get("/tariffs/{tariff}")
def get_tariff(access: Reader, platform: CurrentPlatform, tariff: TariffId, response: Response) -> Tariff:
    """One tariff."""
    check_whole_tenant(access)
    with platform.databases.tenant(access.context) as session:
        found = Tariff.model_validate(tariffs.find_tariff(session, tariff))
    response.headers["ETag"] = _tag(found)
    return found


@router.patch("/tariffs/{tariff}", responses=problem_responses(409, 412))
def patch_tariff(
    access: Writer,
    platform: CurrentPlatform,
    tariff: TariffId,
    asked: TariffChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Tariff:
    """Correct a tariff: what is left out stays, and what it cost until now is computed anew.

    New prices from a day on are another tariff.
    """
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            row = tariffs.find_tariff(session, tariff, lock=True)
            check_if_match(if_match, _tag(Tariff.model_validate(row)))
            tariffs.change_tariff(session, row, asked.model_dump(exclude_unset=True))
            changed = Tariff.model_validate(row)
        audit.record(
            core,
            access.actor,
            "tariff.changed",
            tenant=access.context.id,
            target=str(tariff),
            detail=asked.model_dump(mode="json", exclude_unset=True),
        )
    response.headers["ETag"] = _tag(changed)
    return changed


@router.delete(
    "/tariffs/{tariff}", status_code=204, response_class=Response, responses=problem_responses(412)
)
def delete_tariff(
    access: Writer, platform: CurrentPlatform, tariff: TariffId, if_match: IfMatch = None
) -> Response:
    """Delete a tariff; the one before it holds on."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            row = tariffs.find_tariff(session, tariff, lock=True)
            check_if_match(if_match, _tag(Tariff.model_validate(row)))
            session.delete(row)
        audit.record(core, access.actor, "tariff.deleted", tenant=access.context.id, target=str(tariff))
    return Response(status_code=204)


@router.get("/emission-factors")
def get_emission_factors(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[EmissionFactor]:
    """The emission factors, by id."""
    check_whole_tenant(access)
    after = decode_cursor(cursor, int)[0] if cursor else 0
    with platform.databases.tenant(access.context) as session:
        rows = tariffs.list_factors(session, after=after, limit=limit + 1)
        items = [EmissionFactor.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor(items[-1].id) if len(rows) > limit else None)


@router.post(
    "/emission-factors",
    status_code=201,
    responses={
        200: {"model": EmissionFactor, "description": "Made by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_emission_factor(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewEmissionFactor,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> EmissionFactor:
    """Say what a carrier emits from a day on. 409 when there is a factor from this day on already."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        once = Once(core, access, "emission-factors", idempotency_key, asked.model_dump(mode="json"))
        with platform.databases.tenant(access.context) as session:
            if once.made is None:
                row = tariffs.add_factor(session, asked.model_dump())
            else:
                row = tariffs.find_factor(session, once.made["factor"])
            factor = EmissionFactor.model_validate(row)
        if once.made is None:
            once.keep({"factor": factor.id})
            audit.record(
                core,
                access.actor,
                "emission_factor.created",
                tenant=access.context.id,
                target=str(factor.id),
                detail=asked.model_dump(mode="json", exclude_unset=True),
            )
        else:
            response.status_code = 200
    response.headers["ETag"] = _tag(factor)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/emission-factors/{factor.id}"
    return factor


@router.get("/emission-factors/{factor}")
def get_emission_factor(
    access: Reader, platform: CurrentPlatform, factor: FactorId, response: Response
) -> EmissionFactor:
    """One emission factor."""
    check_whole_tenant(access)
    with platform.databases.tenant(access.context) as session:
        found = EmissionFactor.model_validate(tariffs.find_factor(session, factor))
    response.headers["ETag"] = _tag(found)
    return found


@router.patch("/emission-factors/{factor}", responses=problem_responses(409, 412))
def patch_emission_factor(
    access: Writer,
    platform: CurrentPlatform,
    factor: FactorId,
    asked: EmissionFactorChanges,
    response: Response,
    if_match: IfMatch = None,
) -> EmissionFactor:
    """Correct an emission factor: what is left out stays."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            row = tariffs.find_factor(session, factor, lock=True)
            check_if_match(if_match, _tag(EmissionFactor.model_validate(row)))
            tariffs.change_factor(session, row, asked.model_dump(exclude_unset=True))
            changed = EmissionFactor.model_validate(row)
        audit.record(
            core,
            access.actor,
            "emission_factor.changed",
            tenant=access.context.id,
            target=str(factor),
            detail=asked.model_dump(mode="json", exclude_unset=True),
        )
    response.headers["ETag"] = _tag(changed)
    return changed


@router.delete(
    "/emission-factors/{factor}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(412),
)
def delete_emission_factor(
    access: Writer, platform: CurrentPlatform, factor: FactorId, if_match: IfMatch = None
) -> Response:
    """Delete an emission factor; the one before it holds on."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        with platform.databases.tenant(access.context) as session:
            row = tariffs.find_factor(session, factor, lock=True)
            check_if_match(if_match, _tag(EmissionFactor.model_validate(row)))
            session.delete(row)
        audit.record(
            core, access.actor, "emission_factor.deleted", tenant=access.context.id, target=str(factor)
        )
    return Response(status_code=204)


def _tag(shown: Tariff | EmissionFactor) -> str:
    return etag_of(shown.model_dump(mode="json"))
