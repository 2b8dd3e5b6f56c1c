"""`/api/v1/operator/…`: tenants' lives, for the operator's programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from insula_platform.access import OperatorAccess, RequiresOperator
from insula_platform.audit.schemas import OperatorEntry, operator_entry
from insula_platform.invitations.links import invitation_link
from insula_platform.operator import service
from insula_platform.operator.schemas import (
    CreatedTenant,
    InvitedOwner,
    NewOwner,
    NewTenant,
    Receipt,
    Suspension,
    Tenant,
)
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import OPERATOR_PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.audit import list_entries
from insula_tenants.errors import InsulaError, InvalidInput
from insula_tenants.lifecycle import GRACE
from insula_tenants.registry import create_tenant

router = APIRouter(prefix="/api/v1/operator", tags=["Operator"], responses=OPERATOR_PROBLEM_RESPONSES)

_READER = [RequiresOperator("tenants:read")]
Writer = Annotated[OperatorAccess, RequiresOperator("tenants:write")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]

_CONFLICT = problem_responses(409)


class CannotCreate(InsulaError):
    """Tenants cannot be made by this process."""

    status = 503
    type = "cannot-create"


@router.post(
    "/tenants",
    status_code=201,
    responses={
        200: {"model": CreatedTenant, "description": "Made by an earlier request"},
        **problem_responses(409),
    },
)
def post_tenant(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewTenant,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=150,
            description="Names this request: sent again with the same key, it makes no second tenant, and "
            "continues what was cut off.",
        ),
    ] = None,
) -> CreatedTenant:
    """Create a tenant. Nobody finds it before it is whole."""
    if platform.administration is None:
        raise CannotCreate(
            "this process has no INSULA_DATABASE_ADMIN_URL: give it one, or use `insula tenant create`"
        )
    created = create_tenant(
        platform.administration,
        asked.slug,
        asked.name,
        database=asked.database,
        plan=asked.plan,
        owner_email=asked.owner_email,
        # A key is good for the client that chose it: two clients may choose the same.
        key=f"{access.client_id}/{idempotency_key}" if idempotency_key is not None else None,
        actor=access.actor,
    )
    if created.repeated:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/operator/tenants/{created.slug}"
    response.headers["Cache-Control"] = "no-store"
    view = service.show(platform.databases, created.slug)
    token = created.invitation
    link = invitation_link(platform.settings.public_url, token) if token is not None else None
    return CreatedTenant(**view._asdict(), invitation=token, invitation_link=link)


@router.get("/tenants", dependencies=_READER)
def get_tenants(platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None) -> Page[Tenant]:
    """All tenants, by slug. One that is still being made is not among them."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    found = service.show_all(platform.databases, after=_storable(after), limit=limit + 1)
    more = encode_cursor(found[limit - 1].slug) if len(found) > limit else None
    return Page(items=[Tenant.model_validate(view) for view in found[:limit]], next_cursor=more)


@router.get("/tenants/{slug}", dependencies=_READER)
def get_tenant(platform: CurrentPlatform, slug: str) -> Tenant:
    """One tenant."""
    return Tenant.model_validate(service.show(platform.databases, slug))


@router.post("/tenants/{slug}/suspend", responses=_CONFLICT)
def post_suspend(access: Writer, platform: CurrentPlatform, slug: str, asked: Suspension) -> Tenant:
    """Close a tenant from the next request on; its devices are disconnected, what they sent is put aside."""
    return Tenant.model_validate(
        service.suspend(platform.databases, platform.broker, slug, asked.reason, actor=access.actor)
    )


@router.post("/tenants/{slug}/resume", responses=_CONFLICT)
def post_resume(access: Writer, platform: CurrentPlatform, slug: str) -> Tenant:
    """Open a suspended tenant: tokens, sessions and devices' passwords are as good as before."""
    return Tenant.model_validate(
        service.resume(platform.databases, platform.broker, slug, actor=access.actor)
    )


@router.delete("/tenants/{slug}", status_code=202, responses=_CONFLICT)
def delete_tenant(
    access: Writer,
    platform: CurrentPlatform,
    slug: str,
    confirm: Annotated[str, Query(description="The slug once more: deletion cannot be undone.")],
    grace_days: Annotated[
        int, Query(ge=0, le=365, description="Days for which it can be cancelled.")
    ] = GRACE.days,
) -> Tenant:
    """Close a tenant, and erase it when the grace period is over: `delete_after` says when."""
    if confirm != slug:
        raise InvalidInput("confirm", "give the slug of the tenant that shall be deleted once more")
    return Tenant.model_validate(
        service.delete(
            platform.databases, platform.broker, slug, timedelta(days=grace_days), actor=access.actor
        )
    )


@router.post("/tenants/{slug}/cancel-deletion", responses=_CONFLICT)
def post_cancel_deletion(access: Writer, platform: CurrentPlatform, slug: str) -> Tenant:
    """Keep a tenant whose grace period is not over: it is what it was before."""
    return Tenant.model_validate(service.keep(platform.databases, platform.broker, slug, actor=access.actor))


@router.post("/tenants/{slug}/owners", status_code=201)
def post_owner(
    access: Writer, platform: CurrentPlatform, slug: str, asked: NewOwner, response: Response
) -> InvitedOwner:
    """Invite an owner, in place of an open invitation to the same address: one was lost or expired."""
    response.headers["Cache-Control"] = "no-store"
    token = service.invite_owner(platform.databases, slug, asked.email, actor=access.actor)
    link = invitation_link(platform.settings.public_url, token)
    return InvitedOwner(invitation=token, invitation_link=link)


@router.get("/receipts/{tenant_id}", dependencies=_READER)
def get_receipt(platform: CurrentPlatform, tenant_id: UUID) -> Receipt:
    """The receipt of a tenant that was erased."""
    return Receipt.model_validate(service.receipt(platform.databases, tenant_id))


@router.get("/audit", dependencies=_READER)
def get_audit(
    platform: CurrentPlatform,
    tenant_id: Annotated[UUID | None, Query(description="Only what concerns this tenant.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[OperatorEntry]:
    """Who changed what in which tenant, newest first; of tenants that are gone, too."""
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.core() as core:
        rows = list_entries(core, tenant=tenant_id, before=before, limit=limit + 1)
        items = [operator_entry(row) for row in rows[:limit]]
    more = encode_cursor(items[-1].id) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)


def _storable(after: str | None) -> str | None:
    if after is not None and not (after.isascii() and after.isprintable()):
        raise InvalidInput("cursor", "this is no cursor of this list: use next_cursor of the page before")
    return after
