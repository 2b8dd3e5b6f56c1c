"""`…/claim-batches`: codes to print on boxes. `/api/v1/claims`: trade one for a login."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.enrolment.answers import check_request, let_in
from insula_platform.enrolment.guessing import PUBLIC_PROBLEMS, count_guess, forgive_guess
from insula_platform.enrolment.schemas import Batch, Claim, Claiming, LetIn, MadeBatch, NewBatch
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_cursor, decode_moment, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problems_of
from insula_platform.signin.sessions import address_of
from insula_platform.state import CurrentPlatform
from insula_tenants.audit import Actor
from insula_tenants.enrolment import claims

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Enrolment"], responses=PROBLEM_RESPONSES)
public = APIRouter(
    prefix="/api/v1", tags=["Enrolment"], responses=problems_of(claims.ClaimRefused, *PUBLIC_PROBLEMS)
)

Reader = Annotated[Access, Requires("devices:read")]
Writer = Annotated[Access, Requires("devices:write")]
BatchId = Annotated[UUID, Path(description="The batch's id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.post(
    "/claim-batches",
    status_code=201,
    responses={200: {"model": MadeBatch, "description": "Made by an earlier request with this key"}},
)
def post_batch(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewBatch,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> MadeBatch:
    """Make claim codes, to print on the boxes of devices.

    Whoever has a code trades it at `/api/v1/claims`, once, for a device of this tenant: called after the
    prefix and the code's number, of this type, in this space.
    """
    check_whole_tenant(access)
    context, codes = access.context, None
    with platform.databases.core() as core:
        once = Once(core, access, "claim-batches", idempotency_key, asked.model_dump(mode="json"))
        if once.made is not None:
            batch_id = UUID(once.made["batch"])
            response.status_code = 200
        else:
            new = claims.NewBatch(
                name=asked.name,
                count=asked.count,
                prefix=asked.prefix,
                lifetime=timedelta(seconds=asked.expires_in),
                device_type=asked.type,
                space_id=asked.space_id,
            )
            batch_id, codes = claims.make_batch(core, platform.databases, context, new, actor=access.actor)
            once.keep({"batch": str(batch_id)})
        batch = Batch.model_validate(claims.find_batch(core, context, batch_id))
    response.headers["Location"] = f"/api/v1/tenants/{context.slug}/claim-batches/{batch_id}"
    response.headers["Cache-Control"] = "no-store"
    return MadeBatch(batch=batch, codes=codes)


@router.get("/claim-batches")
def get_batches(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[Batch]:
    """The tenant's batches of claim codes, oldest first."""
    check_whole_tenant(access)
    after = decode_moment(cursor) if cursor else None
    with platform.databases.core() as core:
        found = claims.list_batches(core, access.context, after=after, limit=limit + 1)
    more = None
    if len(found) > limit:
        more = encode_cursor(found[limit - 1].created_at, found[limit - 1].id)
    return Page(items=[Batch.model_validate(batch) for batch in found[:limit]], next_cursor=more)


@router.get("/claim-batches/{batch}")
def get_batch(access: Reader, platform: CurrentPlatform, batch: BatchId) -> Batch:
    """A batch, and how many of its codes are claimed."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return Batch.model_validate(claims.find_batch(core, access.context, batch))


@router.get("/claim-batches/{batch}/claims")
def get_claims(
    access: Reader, platform: CurrentPlatform, batch: BatchId, limit: Limit = 100, cursor: Cursor = None
) -> Page[Claim]:
    """What became of the batch's codes, by number. The codes themselves nobody knows any more."""
    check_whole_tenant(access)
    after = decode_cursor(cursor, int)[0] if cursor else 0
    with platform.databases.core() as core:
        found = claims.claims_of(core, access.context, batch, after=after, limit=limit + 1)
    more = encode_cursor(found[limit - 1].number) if len(found) > limit else None
    return Page(items=[Claim.model_validate(one) for one in found[:limit]], next_cursor=more)


@router.delete("/claim-batches/{batch}", status_code=204, response_class=Response)
def delete_batch(access: Writer, platform: CurrentPlatform, batch: BatchId) -> Response:
    """Revoke a batch: none of its codes can be claimed any more. Devices that have claimed one stay."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        claims.revoke_batch(core, access.context, batch, actor=access.actor)
    return Response(status_code=204)


@public.post("/claims", status_code=201)
def post_claim(request: Request, platform: CurrentPlatform, asked: Claiming, response: Response) -> LetIn:
    """Trade the code that is printed on a device for its login. The code alone is what it takes.

    A device does this by itself, or an installer's phone for it. The code says to which tenant it belongs and
    in which space it is, and is used up. Where devices sign in with certificates, `csr` must be there. 404
    `claim-refused` for one that is not good, whatever the reason; 429 for who tries too many.
    """
    check_request(platform, asked.csr)
    count_guess(platform, request)
    address = address_of(request)
    with platform.databases.core() as core:
        claimed = claims.claim(
            core,
            platform.databases,
            platform.broker,
            asked.code,
            serial=asked.serial,
            address=address,
        )
    forgive_guess(platform, request)
    response.headers["Cache-Control"] = "no-store"
    actor = Actor("system", "claim", address)
    return let_in(
        platform, claimed.context, claimed.device, None, claimed.password, csr=asked.csr, actor=actor
    )
