"""The tenant as the registry knows it, and the plan it is on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class Plan(Core):
    """A named set of limits."""

    __tablename__ = "plans"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    quotas: Mapped[dict[str, int | None]] = mapped_column(JSONB)
    """Limits by name; one that is missing is unlimited."""


class Tenant(Core):
    """One tenant: its names, its database, the version of its schema."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    database: Mapped[str] = mapped_column(Text, server_default="main")
    schema_version: Mapped[str | None] = mapped_column(Text)
    """Revision of the tenant tree; None while the tenant is being made."""
    status: Mapped[str] = mapped_column(Text, server_default="active")
    """`creating`, `active`, `suspended` or `deleting`."""
    status_reason: Mapped[str | None] = mapped_column(Text)
    """Why it is suspended; kept while it is `deleting`, so that a cancelled deletion leads back."""
    plan: Mapped[str] = mapped_column(Text, ForeignKey(Plan.name), server_default="standard")
    quotas: Mapped[dict[str, int | None]] = mapped_column(JSONB, server_default="{}")
    """Limits of this tenant alone, over those of its plan."""
    delete_after: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """End of the grace period; None when nobody asked for deletion."""
    creation_key: Mapped[str | None] = mapped_column(Text, unique=True)
    """The Idempotency-Key that made it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
