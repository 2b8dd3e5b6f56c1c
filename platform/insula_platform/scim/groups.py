"""A tenant's SCIM groups, by whose names people get roles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from scim2_models import InvalidValueException, Meta, NotFoundException, Reference
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from insula_platform.scim.models import ScimGroup, ScimGroupMember, ScimUser
from insula_platform.scim.resources import Group, GroupMember
from insula_platform.scim.users import Users


class Groups:
    """The groups of one tenant, in the caller's session on the registry."""

    def __init__(self, core: Session, tenant_id: UUID, users: Users) -> None:
        """`users` are the same tenant's."""
        self.core, self.tenant_id, self.users = core, tenant_id, users

    def find(self, group_id: str) -> ScimGroup:
        """The group; `NotFoundException` when the tenant has none of this id."""
        try:
            found = self.core.get(ScimGroup, UUID(group_id))
        except ValueError:
            found = None
        if found is None or found.tenant_id != self.tenant_id:
            raise NotFoundException(detail=f"there is no group {group_id!r}")
        return found

    def rows(self, *conditions: Any, offset: int = 0, limit: int | None = None) -> Sequence[ScimGroup]:
        """Groups by id, which never changes their order."""
        query = select(ScimGroup).where(ScimGroup.tenant_id == self.tenant_id, *conditions)
        return self.core.scalars(query.order_by(ScimGroup.id).offset(offset).limit(limit)).all()

    def count(self, *conditions: Any) -> int:
        """How many there are."""
        query = select(func.count()).where(ScimGroup.tenant_id == self.tenant_id, *conditions)
        return self.core.scalar(query) or 0

    def create(self, wanted: Group) -> ScimGroup:
        """A new group; its members get the role that it gives."""
        row = ScimGroup(tenant_id=self.tenant_id, version=0)
        self._write(row, wanted)
        return row

    def update(self, row: ScimGroup, wanted: Group) -> None:
        """Change name and members; who came and who went gets the role that is theirs now."""
        self._write(row, wanted)

    def delete(self, row: ScimGroup) -> None:
        """Remove the group; its members stay with the roles that their other groups give."""
        users = self._members(row)
        self.core.delete(row)
        self.core.flush()
        self._apply(users)

    def shown(self, rows: Sequence[ScimGroup]) -> list[Group]:
        """As SCIM writes them; one statement, however many there are."""
        members: dict[UUID, list[GroupMember]] = {}
        query = select(ScimGroupMember.group_id, ScimGroupMember.user_id).where(
            ScimGroupMember.group_id.in_({row.id for row in rows})
        )
        for group, user in self.core.execute(query.order_by(ScimGroupMember.user_id)):
            members.setdefault(group, []).append(
                GroupMember(value=str(user), ref=Reference(f"Users/{user}"), type="User")
            )
        return [
            Group(
                id=str(row.id),
                external_id=row.external_id,
                display_name=row.display_name,
                members=members.get(row.id),
                meta=Meta(
                    resource_type="Group",
                    created=row.created_at,
                    last_modified=row.updated_at,
                    version=f'W/"{row.version}"',
                ),
            )
            for row in rows
        ]

    def _write(self, row: ScimGroup, wanted: Group) -> None:
        row.display_name, row.external_id = wanted.display_name or "", wanted.external_id
        row.updated_at = datetime.now(UTC)
        row.version = (row.version or 0) + 1
        self.core.add(row)
        self.core.flush()
        before = self._members(row)
        after = {self._user(member).id for member in wanted.members or ()}
        self.core.execute(
            delete(ScimGroupMember).where(
                ScimGroupMember.group_id == row.id, ScimGroupMember.user_id.in_(before - after)
            )
        )
        self.core.add_all(ScimGroupMember(group_id=row.id, user_id=user) for user in after - before)
        self.core.flush()
        self._apply(before | after)

    def _user(self, member: GroupMember) -> ScimUser:
        try:
            return self.users.find(member.value or "")
        except NotFoundException:
            raise InvalidValueException(
                detail=f"there is no user {member.value!r}; groups within groups are not supported"
            ) from None

    def _members(self, row: ScimGroup) -> set[UUID]:
        query = select(ScimGroupMember.user_id).where(ScimGroupMember.group_id == row.id)
        return set(self.core.scalars(query))

    def _apply(self, users: set[UUID]) -> None:
        for user in self.users.rows(ScimUser.id.in_(users)):
            self.users.apply(user)
