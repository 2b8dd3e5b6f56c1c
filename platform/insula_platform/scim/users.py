"""A tenant's SCIM users: the members it has, and those that its directory has brought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from scim2_models import (
    ConflictException,
    GroupMembership,
    InvalidValueException,
    Meta,
    NotFoundException,
    Reference,
    UniquenessException,
)
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from insula_platform.federation.claims import Rules, strongest
from insula_platform.federation.domains import domain_of, verified_domains
from insula_platform.federation.membership import account_for, admit, dismiss, is_believed
from insula_platform.federation.models import IdentityProvider
from insula_platform.people import Account, Membership
from insula_platform.people.memberships import LastOwner
from insula_platform.people.service import check_email, normal_email
from insula_platform.scim.models import ScimGroup, ScimGroupMember, ScimUser
from insula_platform.scim.resources import Email, User
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import InvalidInput

BY = "scim"

_KEPT = ("name", "displayName", "emails")

_ADOPT = text("""
INSERT INTO scim_users (id, tenant_id, account_id, user_name, admitted)
SELECT gen_random_uuid(), memberships.tenant_id, accounts.id, accounts.email, true
  FROM memberships JOIN accounts ON accounts.id = memberships.account_id
 WHERE memberships.tenant_id = :tenant
    ON CONFLICT DO NOTHING
""")


class Users:
    """The users of one tenant, in the caller's session on the registry."""

    def __init__(self, core: Session, tenant: TenantContext, actor: Actor) -> None:
        """Members that came in another way become users here: a directory finds and takes them over."""
        self.core, self.tenant, self.tenant_id, self.actor = core, tenant, tenant.id, actor
        core.execute(_ADOPT, {"tenant": tenant.id})

    def find(self, user_id: str) -> ScimUser:
        """The user; `NotFoundException` when the tenant has none of this id."""
        try:
            found = self.core.get(ScimUser, UUID(user_id))
        except ValueError:
            found = None
        if found is None or found.tenant_id != self.tenant_id:
            raise NotFoundException(detail=f"there is no user {user_id!r}")
        return found

    def rows(self, *conditions: Any, offset: int = 0, limit: int | None = None) -> Sequence[ScimUser]:
        """Users by id, which never changes their order."""
        query = select(ScimUser).where(ScimUser.tenant_id == self.tenant_id, *conditions)
        return self.core.scalars(query.order_by(ScimUser.id).offset(offset).limit(limit)).all()

    def count(self, *conditions: Any) -> int:
        """How many there are."""
        query = select(func.count()).where(ScimUser.tenant_id == self.tenant_id, *conditions)
        return self.core.scalar(query) or 0

    def create(self, wanted: User) -> ScimUser:
        """A new user, and a member if something gives it a role."""
        email = _address(wanted)
        self._check_domain(email)
        account = account_for(self.core, email, _name(wanted, email))
        if not is_believed(self.core, self.tenant_id, account):
            raise ConflictException(
                detail=f"there is an account for {email}, and nobody has confirmed that it is theirs: "
                "the person must choose a new password for it first, which does so"
            )
        row = self.core.scalar(
            select(ScimUser).where(ScimUser.tenant_id == self.tenant_id, ScimUser.account_id == account.id)
        )
        if row is not None and row.brought:
            raise UniquenessException(detail=f"the address {email} is the user {row.id}")
        if row is None:
            row = ScimUser(tenant_id=self.tenant_id, account_id=account.id, version=0)
        self._write(row, wanted)
        self.core.add(row)
        self.core.flush()
        self.apply(row)
        return row

    def update(self, row: ScimUser, wanted: User) -> None:
        """Change the user to what is wanted; no longer `active`, they are out at once."""
        email = _address(wanted)
        account = self.core.get_one(Account, row.account_id)
        if email != account.email:
            self._move(account, email)
        self._write(row, wanted)
        self.core.flush()
        self.apply(row)

    def delete(self, row: ScimUser) -> None:
        """Take the user out, and forget what the directory said of them. The account is the person's."""
        self._dismiss(row)
        self.core.delete(row)
        self.core.flush()

    def apply(self, row: ScimUser) -> None:
        """Make of the user the member that the directory wants: with which role, or none."""
        if not row.active:
            self._dismiss(row)
            return
        rules = self._rules()
        membership = self.core.get(Membership, (row.account_id, self.tenant_id))
        # A role that somebody gave by hand stays, unless groups are what gives roles.
        if membership is not None and (rules.role_claim is not None or not rules.roles):
            row.admitted = True
            return
        role = strongest(self._group_names(row) if rules.role_claim is None else (), rules)
        if role is None and (membership is None or membership.role != "owner"):
            self._dismiss(row)
            row.admitted = False  # it waits for a group, or for the claims of a first sign-in
            return
        account = self.core.get_one(Account, row.account_id)
        admit(self.core, self.tenant_id, account, role or "owner", by=BY, actor=self.actor)
        row.admitted = True

    def shown(self, rows: Sequence[ScimUser]) -> list[User]:
        """As SCIM writes them; three statements, however many there are."""
        accounts = {row.account_id for row in rows}
        known = {
            account.id: account
            for account in self.core.scalars(select(Account).where(Account.id.in_(accounts)))
        }
        members = set(
            self.core.scalars(
                select(Membership.account_id).where(
                    Membership.tenant_id == self.tenant_id, Membership.account_id.in_(accounts)
                )
            )
        )
        groups: dict[UUID, list[GroupMembership]] = {}
        query = (
            select(ScimGroupMember.user_id, ScimGroup.id, ScimGroup.display_name)
            .join(ScimGroup, ScimGroup.id == ScimGroupMember.group_id)
            .where(ScimGroupMember.user_id.in_({row.id for row in rows}))
            .order_by(ScimGroup.display_name, ScimGroup.id)
        )
        for user, group, name in self.core.execute(query):
            groups.setdefault(user, []).append(
                GroupMembership(
                    value=str(group), ref=Reference(f"Groups/{group}"), display=name, type="direct"
                )
            )
        return [
            _shown(row, known[row.account_id], groups.get(row.id), is_member=row.account_id in members)
            for row in rows
        ]

    def _write(self, row: ScimUser, wanted: User) -> None:
        name = wanted.user_name or ""
        taken = select(ScimUser.id).where(
            ScimUser.tenant_id == self.tenant_id, func.lower(ScimUser.user_name) == name.lower()
        )
        if self.core.scalar(taken) not in {None, row.id}:
            raise UniquenessException(detail=f"there is a user named {name!r}")
        row.user_name, row.external_id = name, wanted.external_id
        row.active, row.brought = wanted.active is not False, True
        kept = wanted.model_dump(mode="json", exclude_none=True)
        row.attributes = {key: kept[key] for key in _KEPT if key in kept}
        row.updated_at = datetime.now(UTC)
        row.version = (row.version or 0) + 1

    def _check_domain(self, email: str) -> None:
        if domain_of(email) not in verified_domains(self.core, self.tenant_id):
            raise InvalidValueException(
                detail=f"the domain of {email} is not verified by this tenant: verify it first, or invite "
                "the person"
            )

    def _move(self, account: Account, email: str) -> None:
        """Give the account its new address if nobody else knows it by the old one; else it keeps that.

        So does an owner's: by an address of somebody else's, a directory would make them the owner.
        """
        membership = self.core.get(Membership, (account.id, self.tenant_id))
        if membership is not None and membership.role == "owner":
            return
        others = select(func.count()).where(
            Membership.account_id == account.id, Membership.tenant_id != self.tenant_id
        )
        if account.password_hash is not None or self.core.scalar(others):
            return
        self._check_domain(email)
        if self.core.scalar(select(Account.id).where(Account.email == email)) is not None:
            raise UniquenessException(detail=f"the address {email} is another person's")
        account.email = email

    def _dismiss(self, row: ScimUser) -> None:
        account = self.core.get_one(Account, row.account_id)
        try:
            dismiss(self.core, self.tenant, account, by=BY, actor=self.actor)
        except LastOwner as error:
            raise ConflictException(detail=error.detail) from None

    def _group_names(self, row: ScimUser) -> list[str]:
        query = select(ScimGroup.display_name, ScimGroup.external_id).join(
            ScimGroupMember, ScimGroupMember.group_id == ScimGroup.id
        )
        rows = self.core.execute(query.where(ScimGroupMember.user_id == row.id)).all()
        return [name for row in rows for name in row if name is not None]

    def _rules(self) -> Rules:
        provider = self.core.get(IdentityProvider, self.tenant_id)
        if provider is None:  # a directory without single sign-on: whom it brings may look
            return Rules("", None, {}, "viewer")
        return Rules(provider.verified_claim, provider.role_claim, provider.roles, provider.default_role)


def _shown(row: ScimUser, account: Account, groups: list[GroupMembership] | None, *, is_member: bool) -> User:
    user = User.model_validate(row.attributes) if row.brought else User(display_name=account.name)
    user.id, user.external_id, user.user_name = str(row.id), row.external_id, row.user_name
    if not row.brought:
        user.emails = [Email(value=account.email, primary=True)]
    user.active = row.active and (is_member or not row.admitted)
    user.groups = groups
    user.meta = Meta(
        resource_type="User",
        created=row.created_at,
        last_modified=row.updated_at,
        version=f'W/"{row.version}"',
    )
    return user


def _address(user: User) -> str:
    """The person's e-mail address: the primary one, any other, or the name when that is one."""
    addresses = [email for email in user.emails or () if email.value]
    primary = next((email for email in addresses if email.primary), addresses[0] if addresses else None)
    address = str(primary.value) if primary is not None else user.user_name or ""
    address = normal_email(address)
    try:
        check_email(address)
    except InvalidInput:
        raise InvalidValueException(detail="give an e-mail address: in emails, or as the userName") from None
    return address


def _name(user: User, email: str) -> str:
    parts = user.name
    formatted = parts and (parts.formatted or " ".join(filter(None, (parts.given_name, parts.family_name))))
    return (user.display_name or formatted or "").strip()[:200] or email
