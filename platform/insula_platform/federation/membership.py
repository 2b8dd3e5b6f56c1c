"""Members that a tenant's provider or directory lets in, changes, and takes out.

It never makes an owner, nor touches one's role; and it acts in its own tenant alone. An account is the
person's: other tenants may know them by it, so its password and its other memberships stay as they are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.people import Account, Membership, locked_member, remove_member
from insula_platform.people.service import normal_email
from insula_platform.signin.models import SigninSession
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import NotFound


def account_for(core: Session, email: str, name: str) -> Account:
    """The account of an address that a provider or directory answers for: the one there is, or a new one."""
    email = normal_email(email)
    row = insert(Account).values(email=email, name=name, email_verified_at=datetime.now(UTC))
    core.execute(row.on_conflict_do_nothing(index_elements=["email"]))
    return core.scalars(select(Account).where(Account.email == email)).one()


def is_believed(core: Session, tenant_id: UUID, account: Account) -> bool:
    """Whether the account of an address may be let in because the address is.

    Whoever invites an address sees the link, and can make an account for it. So one whose address nobody has
    confirmed may be that of a stranger who waits to be let in, unless it is a member already.
    """
    if account.email_verified_at is not None:
        return True
    return core.get(Membership, (account.id, tenant_id)) is not None


def admit(
    core: Session, tenant_id: UUID, account: Account, role: str, *, by: str, actor: Actor
) -> Membership:
    """Make the account a member, or give a member this role; an owner stays one. `by` tells the log how."""
    found = core.get(Membership, (account.id, tenant_id), with_for_update=True)
    if found is None:
        found = Membership(account_id=account.id, tenant_id=tenant_id, role=role)
        core.add(found)
        core.flush()
        action = "member.joined"
    elif found.role in {role, "owner"}:
        return found
    else:
        found.role = role
        if role == "admin":  # which is the whole tenant's, so a grant for some places ends
            found.places = None
        action = "member.role_changed"
    audit.record(core, actor, action, tenant=tenant_id, target=account.email, detail={"role": role, "by": by})
    return found


def dismiss(core: Session, tenant: TenantContext, account: Account, *, by: str, actor: Actor) -> None:
    """End a membership with all that it opens; no error when there is none. `LastOwner` for the last one."""
    # Its other sessions may be for other tenants; without the membership they open nothing here.
    core.execute(
        delete(SigninSession).where(
            SigninSession.account_id == account.id, SigninSession.tenant_id == tenant.id
        )
    )
    try:
        membership = locked_member(core, account.id, tenant)
    except NotFound:
        return
    remove_member(core, membership)
    audit.record(core, actor, "member.removed", tenant=tenant.id, target=account.email, detail={"by": by})
