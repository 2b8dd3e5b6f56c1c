"""An invitation as the registry keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, ForeignKey, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class Invitation(Core):
    """Whoever shows the token may take this role in the tenant, once, until it expires."""

    __tablename__ = "invitations"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"))
    email: Mapped[str] = mapped_column(Text)
    """In lower case."""
    role: Mapped[str] = mapped_column(Text)
    """`owner`, `admin`, `engineer` or `viewer`."""
    places: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """`Places.told`, for an engineer or a viewer of these alone; None covers the whole tenant."""
    invited_by: Mapped[UUID | None] = mapped_column(Uuid)
    """The account that invited; None when the operator did, or a program."""
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accepted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
