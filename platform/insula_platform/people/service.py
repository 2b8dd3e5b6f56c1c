"""Accounts, passwords and memberships. All functions work in the caller's session on the registry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.oauth.scopes import ROLE_SCOPES
from insula_platform.people.models import Account, Membership
from insula_platform.people.passwords import (
    check_new_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.registry import CREATING, Tenant

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


@dataclass(frozen=True, slots=True)
class Member:
    """A person in one tenant, with their role there."""

    account: Account
    tenant: Tenant
    role: str

    def get_user_id(self) -> str:
        """The `sub` of this person's tokens; Authlib asks for it by this name."""
        return str(self.account.id)


def create_account(
    core: Session, email: str, name: str, password: str, *, about: Sequence[str] = ()
) -> Account:
    """A new account. `about` are names that others would try as its password, beside the person's own.

    Raises `InvalidInput` for an unusable e-mail address, name or password, `Conflict` when there is an
    account for the address.
    """
    email = normal_email(email)
    check_email(email)
    if not name.strip() or len(name) > 200:
        raise InvalidInput("name", "give a name of 1 to 200 characters")
    check_new_password(password, [email, name, *about])
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

    Raises `InvalidInput` when there is no such role.
    """
    if role not in ROLE_SCOPES:
        raise InvalidInput("role", f"there is no role {role!r}: use one of {', '.join(ROLE_SCOPES)}")
    row = insert(Membership).values(account_id=account.id, tenant_id=tenant.id, role=role)
    core.execute(
        row.on_conflict_do_update(
            index_elements=["account_id", "tenant_id"], set_={"role": row.excluded.role}
        )
    )


def check_password(core: Session, email: str, password: str) -> Account | None:
    """The account this address and password belong to. Takes as long when there is none."""
    account = core.scalar(select(Account).where(Account.email == normal_email(email)))
    stored = account.password_hash if account else None
    if not verify_password(stored, password) or account is None or stored is None:
        return None
    if needs_rehash(stored):
        account.password_hash = hash_password(password)
    return account


def set_password(core: Session, account: Account, password: str) -> None:
    """Give the account this password; `InvalidInput` when nobody may choose it."""
    members = memberships_of(core, account.id)
    names = [name for member in members for name in (member.tenant.name, member.tenant.slug)]
    check_new_password(password, [account.email, account.name, *names])
    account.password_hash = hash_password(password)


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


def check_email(email: str) -> None:
    """`InvalidInput` for what cannot be an e-mail address. Whether it is one, only a letter shows."""
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput("email", "give an e-mail address like ada@example.com")


def normal_email(email: str) -> str:
    """The form addresses are stored and compared in. A NUL, which PostgreSQL's text cannot hold, goes."""
    return email.strip().replace("\x00", "").lower()
