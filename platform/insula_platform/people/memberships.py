"""Change and end memberships: a tenant always has an owner, and who goes leaves nothing behind that acts."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from insula_platform.people.models import Membership
from insula_platform.people.service import check_placed
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.spaces import Places


class LastOwner(Conflict):
    """A tenant has an owner, always."""

    type = "last-owner"


def place_member(core: Session, account_id: UUID, tenant: TenantContext, places: Places | None) -> None:
    """Bind a member to some places of the tenant; None gives them the whole of it.

    Raises `InvalidInput` for a role that is the whole tenant's, `NotFound` when the account is no member.
    """
    membership = locked_member(core, account_id, tenant)
    check_placed(membership.role, places)
    membership.places = places.told if places is not None else None


def locked_member(core: Session, account_id: UUID, tenant: TenantContext) -> Membership:
    """The membership, and with it all of the tenant's owners, locked until the transaction ends.

    So two owners who remove each other at once come one after the other. Raises `NotFound` for no member.
    """
    locked = (
        select(Membership)
        .where(
            Membership.tenant_id == tenant.id,
            or_(Membership.account_id == account_id, Membership.role == "owner"),
        )
        .order_by(Membership.account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for membership in core.scalars(locked).all():
        if membership.account_id == account_id:
            return membership
    raise NotFound(f"there is no member {str(account_id)!r}")


def check_not_last_owner(core: Session, membership: Membership) -> None:
    """`LastOwner` when the tenant would be without an owner; the owners are locked by `locked_member`."""
    others = select(func.count()).where(
        Membership.tenant_id == membership.tenant_id,
        Membership.role == "owner",
        Membership.account_id != membership.account_id,
    )
    if membership.role == "owner" and not core.scalar(others):
        raise LastOwner("this is the tenant's only owner: make somebody else an owner first")


def remove_member(core: Session, membership: Membership) -> None:
    """End a membership, and with it what its person let clients do in the tenant, and their API keys.

    Raises `LastOwner`. The membership is one of `locked_member`.
    """
    check_not_last_owner(core, membership)
    core.execute(
        text(
            "UPDATE oauth_grants SET revoked_at = now()"
            " WHERE account_id = :account AND tenant_id = :tenant AND revoked_at IS NULL"
        ),
        {"account": membership.account_id, "tenant": membership.tenant_id},
    )
    core.delete(membership)
    core.flush()
