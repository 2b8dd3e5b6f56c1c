"""Accounts, passwords and memberships. All functions work in the caller's session on the registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.oauth.scopes import ROLE_SCOPES
from insula_platform.people.models import Account, Membership
from insula_platform.people.passwords import hash_password, needs_rehash, verify_password
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.registry import CREATING, Tenant
from insula_tenants.spaces import Places

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


WITHOUT_PLACES = ("owner", "admin")
"""Roles that are always the whole tenant's."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person in one tenant, with their role there."""

    account: Account
    tenant: Tenant
    role: str

    def get_user_id(self) -> str:
        """The `sub` of this person's tokens; Authlib asks for it by this name."""
        return str(self.account.id)


def create_account(core: Session, email: str, name: str, password: str) -> Account:
    """A new account.

    Raises `InvalidInput` for an unusable e-mail address, name or password, `Conflict` when there is an
    account for the address.
    """
    email = normal_email(email)
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("email", "give an e-mail address like ada@example.com")
    if not name.strip() or len(name) > 200:
        raise InvalidInput("name", "give a name of 1 to 200 characters")
    password_hash = hash_password(password)
    row = insert(Account).values(email=email, name=name.strip(), password_hash=password_hash)
    account: Account | None = core.scalar(
        row.on_conflict_do_nothing(index_elements=["email"]).returning(Account)
    )
    if account is None:
        raise Conflict(f"there is an account for {email} already")
    return account


def add_member(core: Session, account: Account, tenant: TenantContext, role: str) -> None:
    """Give the account this role in the tenant, in place of another role it had there.

    Who had it in some places only keeps to them, unless the role is one that has none: `place_member` is what
    changes them. Raises `InvalidInput` when there is no such role.
    """
    check_role(role)
    row = insert(Membership).values(account_id=account.id, tenant_id=tenant.id, role=role)
    kept = case((row.excluded.role.in_(WITHOUT_PLACES), None), else_=Membership.places)
    core.execute(
        row.on_conflict_do_update(
            index_elements=["account_id", "tenant_id"], set_={"role": row.excluded.role, "places": kept}
        )
    )


def check_role(role: str) -> None:
    """`InvalidInput` when there is no such role."""
    if role not in ROLE_SCOPES:
        raise InvalidInput("role", f"there is no role {role!r}: use one of {', '.join(ROLE_SCOPES)}")


def check_placed(role: str, places: Places | None) -> None:
    """`InvalidInput` for places of a role that is always the whole tenant's."""
    if places is not None and role in WITHOUT_PLACES:
        raise InvalidInput("places", f"an {role} has the whole tenant: leave places out")


def check_password(core: Session, email: str, password: str) -> Account | None:
    """The account this address and password belong to. Takes as long when there is none."""
    account = core.scalar(select(Account).where(Account.email == normal_email(email)))
    stored = account.password_hash if account else None
    if not verify_password(stored, password) or account is None or stored is None:
        return None
    if needs_rehash(stored):
        account.password_hash = hash_password(password)
    return account


def memberships_of(core: Session, account_id: UUID) -> list[Member]:
    """The tenants this account belongs to, by name of the tenant. Those still being made are left out."""
    query = (
        select(Account, Tenant, Membership.role)
        .join(Membership, Membership.account_id == Account.id)
        .join(Tenant, Tenant.id == Membership.tenant_id)
        .where(Account.id == account_id, Tenant.schema_version.is_not(None), Tenant.status != CREATING)
        .order_by(Tenant.name, Tenant.slug)
    )
    return [Member(*row) for row in core.execute(query)]


def member_of(core: Session, account_id: UUID, tenant_id: UUID) -> Member | None:
    """The account's place in this tenant, None when it has none (any more)."""
    return next(
        (member for member in memberships_of(core, account_id) if member.tenant.id == tenant_id), None
    )


def normal_email(email: str) -> str:
    """The form addresses are stored and compared in. A NUL, which PostgreSQL's text cannot hold, goes."""
    return email.strip().replace("\x00", "").lower()
