"""Users and groups of tenants' directories as the registry keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Text, UniqueConstraint, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class ScimUser(Core):
    """What a tenant's directory says of one of its people. The account it stands for is the person's own."""

    __tablename__ = "scim_users"
    __table_args__ = (UniqueConstraint("tenant_id", "account_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"))
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    user_name: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    """What the directory wants; with no, nobody lets the account in."""
    admitted: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether it was made a member: one that has no membership since was removed by somebody."""
    brought: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether the directory has written it; a member that came in another way is a user before that."""
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    """Names and addresses, as SCIM writes them."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    version: Mapped[int] = mapped_column(BigInteger, default=1)


class ScimGroup(Core):
    """A group of a tenant's directory; by its name it may give a role."""

    __tablename__ = "scim_groups"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"))
    display_name: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    version: Mapped[int] = mapped_column(BigInteger, default=1)


class ScimGroupMember(Core):
    """That a user is in a group."""

    __tablename__ = "scim_group_members"

    group_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("scim_groups.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("scim_users.id"), primary_key=True)
