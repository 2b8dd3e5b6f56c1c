"""The tenant as the registry knows it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class Tenant(Core):
    """One tenant: its names, its database, the version of its schema."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    database: Mapped[str] = mapped_column(Text, server_default="main")
    schema_version: Mapped[str | None] = mapped_column(Text)
    """Revision of the tenant tree; None while the tenant is being made."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
