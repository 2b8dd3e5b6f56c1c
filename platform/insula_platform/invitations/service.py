"""What accepting an invitation changes, in the caller's session on the registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.oauth.scopes import ROLE_SCOPES
from insula_platform.people import (
    Account,
    Membership,
    add_member,
    check_password,
    create_account,
    place_member,
)
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import InsulaError, TenantClosed, TenantUnavailable
from insula_tenants.invitations import Invitation, open_invitation
from insula_tenants.registry import CREATING, Tenant, resolve_tenant
from insula_tenants.spaces import Places


class NoInvitation(InsulaError):
    """The invitation is unknown, was used, or has expired."""

    status = 404
    type = "no-invitation"


class TenantTakesNobody(InsulaError):
    """The tenant is suspended or about to be deleted; the invitation stays good."""

    status = 403
    type = "tenant-takes-nobody"


class OtherAddress(InsulaError):
    """The invitation is for another address than that of whoever is signed in."""

    status = 403
    type = "other-address"


class WrongPassword(InsulaError):
    """There is an account for the invited address, and this is not its password."""

    status = 403
    type = "wrong-password"


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that can be accepted, and where it leads."""

    invitation: Invitation
    tenant: Tenant
    context: TenantContext


def find(core: Session, token: str) -> Invited:
    """The open invitation with this token, locked: whoever accepts it a second time waits and finds it used.

    Raises `NoInvitation` or `TenantTakesNobody`.
    """
    invitation = open_invitation(core, token)
    tenant = core.get(Tenant, invitation.tenant_id) if invitation is not None else None
    if invitation is None or tenant is None or tenant.status == CREATING:
        raise NoInvitation("It is unknown, was used, or has expired.")
    try:
        context = resolve_tenant(core, tenant.slug)
    except (TenantClosed, TenantUnavailable):  # why is nobody's business who is not in it
        raise TenantTakesNobody(f"{tenant.name} takes nobody in at the moment.") from None
    return Invited(invitation, tenant, context)


def check_address(invited: Invited, account: Account) -> None:
    """`OtherAddress` when the invitation is not for the account's address."""
    if account.email != invited.invitation.email:
        raise OtherAddress("the invitation is for another address")


def accept_as(core: Session, invited: Invited, account: Account, actor: Actor) -> None:
    """Let the account in. `OtherAddress` when the invitation is not for its address."""
    check_address(invited, account)
    membership = core.get(Membership, (account.id, invited.tenant.id))
    role = invited.invitation.role
    if membership is not None and _would_lose(membership, invited.invitation):
        role = membership.role
    else:
        add_member(core, account, invited.context, role)
        place_member(core, account.id, invited.context, Places.of(invited.invitation.places))
    invited.invitation.accepted_at = datetime.now(UTC)
    audit.record(
        core,
        actor,
        "member.joined",
        tenant=invited.tenant.id,
        target=account.email,
        detail={"role": role},
    )


def account_for(core: Session, invited: Invited, name: str, password: str) -> Account:
    """The account of the invited address: the one there is, by its password, or a new one.

    Raises `WrongPassword`, or `InvalidInput` for a name or a password that a new account cannot have.
    """
    email = invited.invitation.email
    if core.scalar(select(Account.id).where(Account.email == email)) is None:
        return create_account(core, email, name, password)
    account = check_password(core, email, password)
    if account is None:
        raise WrongPassword("this is not the password of the account")
    return account


def _would_lose(membership: Membership, invitation: Invitation) -> bool:
    """Whether the invitation offers less than the account has already: nobody loses by joining."""
    if ROLE_SCOPES[invitation.role] < ROLE_SCOPES[membership.role]:
        return True
    return invitation.places is not None and invitation.places != membership.places
