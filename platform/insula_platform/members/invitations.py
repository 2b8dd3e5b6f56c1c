"""Invite people into a tenant by the API, in the caller's session on the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from insula_platform.access import Access
from insula_platform.invitations.links import invitation_link
from insula_platform.mail import Letter, enqueue
from insula_platform.members.service import check_may_give
from insula_platform.people import Account, Membership
from insula_platform.people.service import check_placed
from insula_tenants import audit
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.invitations import LIFETIME, Invitation, check_email, invite, renew_token, token_hash
from insula_tenants.registry import find_tenant
from insula_tenants.spaces import Places

_LETTER = """\
You are invited to {tenant} on Insula, as {role}.

To join, open this link. It is for you alone, and good until {expires:%d %B %Y}:

{link}

If you do not know why you get this letter, do nothing.
"""


class Sent(NamedTuple):
    """An invitation, and its link, which is kept nowhere."""

    row: Invitation
    link: str


def send(
    core: Session, access: Access, *, email: str, role: str, places: Places | None, public_url: str
) -> Sent:
    """Invite a person, in place of an open invitation they had, and write to them. The places exist.

    Raises `InvalidInput` for an unusable address or places of an owner or admin, `NotAllowed` for a role that
    is more than that of who asks, `Conflict` when the address is a member's.
    """
    check_may_give(access, role)
    check_placed(role, places)
    address = check_email(email)
    member = (
        select(Membership.account_id)
        .join(Account, Account.id == Membership.account_id)
        .where(Account.email == address, Membership.tenant_id == access.context.id)
    )
    if core.scalar(member) is not None:
        raise Conflict(f"{address} is a member already: change the role of the member instead")
    for replaced in core.scalars(_open(access.context).where(Invitation.email == address).with_for_update()):
        check_may_give(access, replaced.role)
    token = invite(core, access.context.id, address, role, places=places, invited_by=access.account)
    row = core.scalars(select(Invitation).where(Invitation.token_hash == token_hash(token))).one()
    _record(core, access, "member.invited", row)
    return _written(core, access, row, token, public_url)


def send_again(core: Session, access: Access, invitation_id: UUID, *, public_url: str) -> Sent:
    """Write another letter with another link; the one before is void. Raises `NotFound` and `NotAllowed`."""
    row = find_invitation(core, access.context, invitation_id)
    check_may_give(access, row.role)
    token = renew_token(row)
    row.invited_by = access.account
    core.flush()
    _record(core, access, "member.invited", row)
    return _written(core, access, row, token, public_url)


def withdraw(core: Session, access: Access, invitation_id: UUID) -> None:
    """Take an invitation back: its link is void. Raises `NotFound` and `NotAllowed`."""
    row = find_invitation(core, access.context, invitation_id)
    check_may_give(access, row.role)
    _record(core, access, "invitation.withdrawn", row)
    core.delete(row)


def list_invitations(
    core: Session, tenant: TenantContext, *, after: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[Invitation]:
    """The open ones, those that were made first first; those after `after`, at most `limit`."""
    query = _open(tenant).where(Invitation.expires_at > datetime.now(UTC))
    if after is not None:
        query = query.where(tuple_(Invitation.created_at, Invitation.id) > after)
    return list(core.scalars(query.order_by(Invitation.created_at, Invitation.id).limit(limit)))


def find_invitation(core: Session, tenant: TenantContext, invitation_id: UUID) -> Invitation:
    """One that nobody has accepted, expired or not, locked. Raises `NotFound`."""
    query = _open(tenant).where(Invitation.id == invitation_id).with_for_update()
    row: Invitation | None = core.scalar(query)
    if row is None:
        raise NotFound(f"there is no open invitation {str(invitation_id)!r}")
    return row


def _written(core: Session, access: Access, row: Invitation, token: str, public_url: str) -> Sent:
    link = invitation_link(public_url, token)
    tenant = find_tenant(core, access.context.slug).name
    text = _LETTER.format(tenant=tenant, role=row.role, expires=row.expires_at, link=link)
    letter = Letter(row.email, f"Join {tenant} on Insula", text, lifetime=LIFETIME, tenant=access.context.id)
    enqueue(core, letter)
    return Sent(row, link)


def _open(tenant: TenantContext) -> Any:
    return select(Invitation).where(Invitation.tenant_id == tenant.id, Invitation.accepted_at.is_(None))


def _record(core: Session, access: Access, action: str, row: Invitation) -> None:
    detail = {"role": row.role, "places": row.places}
    audit.record(core, access.actor, action, tenant=access.context.id, target=row.email, detail=detail)
