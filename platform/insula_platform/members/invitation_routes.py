"""`…/invitations`: invite people, see who has not come yet, write again, take it back."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from insula_platform.access import check_whole_tenant
from insula_platform.access.schemas import Places
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.members import invitations
from insula_platform.members.routes import Limit, Reader, Writer
from insula_platform.members.schemas import Invitation, NewInvitation, SentInvitation
from insula_platform.paging import Cursor, Page, decode_moment, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import spaces
from insula_tenants.invitations import Invitation as Row
from insula_tenants.spaces import check_places

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/invitations", tags=["Members"], responses=PROBLEM_RESPONSES
)

InvitationId = Annotated[UUID, Path(description="The invitation's id.")]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": SentInvitation, "description": "Made by an earlier request"},
        **problem_responses(409),
    },
)
def post_invitation(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewInvitation,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> SentInvitation:
    """Invite a person to a role that is at most your own, in place of an open invitation to the same address.

    A letter goes to them; the link is in this answer too, once. Who has an account already joins with it.
    """
    check_whole_tenant(access)
    places = asked.places.meant() if asked.places is not None else None
    if places is not None:
        with platform.databases.tenant(access.context) as session:
            check_places(session, places)
    with platform.databases.core() as core:
        once = Once(core, access, "invitations", idempotency_key, asked.model_dump(mode="json"))
        link = None
        if once.made is not None:
            row = invitations.find_invitation(core, access.context, UUID(once.made["id"]))
            response.status_code = 200
        else:
            row, link = invitations.send(
                core,
                access,
                email=asked.email,
                role=asked.role,
                places=places,
                public_url=platform.settings.public_url,
            )
            once.keep({"id": str(row.id)})
        shown = _shown(row)
    response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/invitations/{shown.id}"
    response.headers["Cache-Control"] = "no-store"
    return SentInvitation(**dict(shown), invitation_link=link)


@router.get("")
def get_invitations(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[Invitation]:
    """The invitations that nobody has accepted yet and that have not expired, the oldest first."""
    check_whole_tenant(access)
    after = decode_moment(cursor) if cursor else None
    with platform.databases.core() as core:
        rows = invitations.list_invitations(core, access.context, after=after, limit=limit + 1)
        items = [_shown(row) for row in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    more = encode_cursor(last.created_at.isoformat(), str(last.id)) if last else None
    return Page(items=items, next_cursor=more)


@router.get("/{invitation_id}")
def get_invitation(access: Reader, platform: CurrentPlatform, invitation_id: InvitationId) -> Invitation:
    """One invitation that nobody has accepted yet."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return _shown(invitations.find_invitation(core, access.context, invitation_id))


@router.post("/{invitation_id}/resend")
def post_resend(
    access: Writer, platform: CurrentPlatform, invitation_id: InvitationId, response: Response
) -> SentInvitation:
    """Write again, with a new link that is good for its whole time; the link before is void."""
    check_whole_tenant(access)
    response.headers["Cache-Control"] = "no-store"
    with platform.databases.core() as core:
        row, link = invitations.send_again(
            core, access, invitation_id, public_url=platform.settings.public_url
        )
        return SentInvitation(**dict(_shown(row)), invitation_link=link)


@router.delete("/{invitation_id}", status_code=204)
def delete_invitation(access: Writer, platform: CurrentPlatform, invitation_id: InvitationId) -> None:
    """Take an invitation back: its link is void."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        invitations.withdraw(core, access, invitation_id)


def _shown(row: Row) -> Invitation:
    return Invitation.model_validate(
        {
            "id": row.id,
            "email": row.email,
            "role": row.role,
            "places": Places.shown(spaces.Places.of(row.places)),
            "invited_by": row.invited_by,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
        }
    )
