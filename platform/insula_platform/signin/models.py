"""Sign-in sessions as the registry keeps them: under the hash of the id that the cookie holds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class SigninSession(Core):
    """A browser in which someone has signed in."""

    __tablename__ = "signin_sessions"

    id_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    auth_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    """When the password was given."""
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
