"""Members: who they are, another role or other places for them, and their end. In the caller's session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_platform.access import Access
from insula_platform.access.policy import may_give
from insula_platform.etags import check_if_match, etag_of
from insula_platform.oauth.scopes import ROLE_SCOPES
from insula_platform.people import (
    Account,
    Membership,
    check_not_last_owner,
    locked_member,
    remove_member,
)
from insula_platform.people.service import WITHOUT_PLACES, check_placed
from insula_tenants import audit
from insula_tenants.context import TenantContext
from insula_tenants.errors import NotAllowed, NotFound
from insula_tenants.invitations import Invitation
from insula_tenants.spaces import Places


class MemberView(NamedTuple):
    """A member as the API shows them."""

    account_id: UUID
    email: str
    name: str
    role: str
    places: Places | None
    since: datetime

    @property
    def etag(self) -> str:
        """Of what can be changed here."""
        return etag_of([str(self.account_id), self.role, self.places.told if self.places else None])


class Change(NamedTuple):
    """What shall be different: `role` None keeps it, `places` counts only when it is `placed`."""

    role: str | None
    places: Places | None
    placed: bool


def list_members(
    core: Session, tenant: TenantContext, *, after: str | None = None, limit: int = 100
) -> list[MemberView]:
    """The tenant's members by e-mail address, those after `after`, at most `limit`."""
    query = _query(tenant)
    if after is not None:
        query = query.where(Account.email > after)
    return [_view(*row) for row in core.execute(query.order_by(Account.email).limit(limit))]


def find_member(core: Session, tenant: TenantContext, account_id: UUID) -> MemberView:
    """One of them; `NotFound` for an account that is no member."""
    row = core.execute(_query(tenant).where(Account.id == account_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no member {str(account_id)!r}")
    return _view(*row)


def change_member(
    core: Session, access: Access, account_id: UUID, change: Change, *, if_match: str | None
) -> MemberView:
    """Give a member another role or other places, from their next request on. The places exist.

    Raises `NotFound`, `NotAllowed` for who is or would be more than whoever asks, `LastOwner`, `InvalidInput`
    for places of an owner or admin, `PreconditionFailed`.
    """
    membership = locked_member(core, account_id, access.context)
    before = find_member(core, access.context, account_id)
    check_if_match(if_match, before.etag)
    role = change.role or membership.role
    for one in (membership.role, role):
        check_may_give(access, one)
    places = before.places if role not in WITHOUT_PLACES else None
    if change.placed:
        check_placed(role, change.places)
        places = change.places
    if role != "owner":
        check_not_last_owner(core, membership)
    membership.role = role
    membership.places = places.told if places is not None else None
    core.flush()
    after = find_member(core, access.context, account_id)
    if after != before:
        _withdraw_invitations(core, access.context, account_id, role)
        detail = {"before": _told(before), "after": _told(after)}
        _record(core, access, "member.changed", after.email, detail)
    return after


def end_member(core: Session, access: Access, account_id: UUID) -> None:
    """Remove a member, from their next request on; what they let programs do ends with them.

    Raises `NotFound`, `NotAllowed` for who is more than whoever asks, `LastOwner`.
    """
    membership = locked_member(core, account_id, access.context)
    check_may_give(access, membership.role)
    before = find_member(core, access.context, account_id)
    remove_member(core, membership)
    _withdraw_invitations(core, access.context, account_id, None)
    # A link that they have not used would be a way back.
    core.execute(_open(access.context).where(Invitation.email == before.email))
    _record(core, access, "member.removed", before.email, _told(before))


def check_may_give(access: Access, role: str) -> None:
    """`NotAllowed` when who asks is less than this role."""
    if not may_give(access.role, role):
        own = access.role or "program"
        raise NotAllowed(f"a {own} decides nothing about an {role}: ask an {role}")


def _withdraw_invitations(core: Session, tenant: TenantContext, account_id: UUID, role: str | None) -> None:
    """Take back the open invitations that the person could not give any more; all of them with no role."""
    beyond = [name for name in ROLE_SCOPES if role is None or not may_give(role, name)]
    if role is not None and role not in WITHOUT_PLACES:
        beyond = list(ROLE_SCOPES)  # engineers and viewers invite nobody
    core.execute(_open(tenant).where(Invitation.invited_by == account_id, Invitation.role.in_(beyond)))


def _open(tenant: TenantContext) -> Any:
    return delete(Invitation).where(Invitation.tenant_id == tenant.id, Invitation.accepted_at.is_(None))


def _record(core: Session, access: Access, action: str, email: str, detail: dict[str, Any]) -> None:
    audit.record(core, access.actor, action, tenant=access.context.id, target=email, detail=detail)


def _query(tenant: TenantContext) -> Any:
    return (
        select(
            Account.id, Account.email, Account.name, Membership.role, Membership.places, Membership.created_at
        )
        .join(Membership, Membership.account_id == Account.id)
        .where(Membership.tenant_id == tenant.id)
    )


def _view(
    account_id: UUID, email: str, name: str, role: str, places: dict[str, Any] | None, since: datetime
) -> MemberView:
    return MemberView(account_id, email, name, role, Places.of(places), since)


def _told(member: MemberView) -> dict[str, Any]:
    return {"role": member.role, "places": member.places.told if member.places is not None else None}
