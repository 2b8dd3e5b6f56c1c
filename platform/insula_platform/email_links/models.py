"""A link as the registry keeps it: under the hash of its token."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, UniqueConstraint, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class EmailLink(Core):
    """A link on its way to an address. An account has one for each purpose: the newest."""

    __tablename__ = "email_links"
    __table_args__ = (UniqueConstraint("account_id", "purpose"),)

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    purpose: Mapped[str] = mapped_column(Text)
    """`verify`, `change` or `reset`."""
    email: Mapped[str] = mapped_column(Text)
    """Where it was sent."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
