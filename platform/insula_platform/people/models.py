"""Accounts and memberships as the registry keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, ForeignKey, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class Account(Core):
    """One person, known by their e-mail address."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(Text, unique=True)
    """In lower case."""
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    """Argon2id; None for someone who cannot sign in with a password."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Membership(Core):
    """The role of an account in a tenant, or in some places of it."""

    __tablename__ = "memberships"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    places: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """`Places.told`, for engineers and viewers; None covers the whole tenant."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
