"""Sign-in sessions as the registry keeps them: under the hash of the id that the cookie holds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, DateTime, ForeignKey, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class SigninSession(Core):
    """A browser in which someone has signed in."""

    __tablename__ = "signin_sessions"

    id_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, default=uuid4, unique=True)
    """By which it is listed and ended. It opens nothing."""
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    auth_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    """When the person proved who they are."""
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    amr: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """How they proved it, in the words of RFC 8176: `pwd`, `otp`, `hwk`, `fed`, and `mfa` for two of them."""
    user_agent: Mapped[str] = mapped_column(Text, server_default="")
    address: Mapped[str] = mapped_column(Text, server_default="")
    """Where the browser was seen last."""
    last_seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
