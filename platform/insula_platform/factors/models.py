"""Second factors as the registry keeps them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, ForeignKey, LargeBinary, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class TotpFactor(Core):
    """An app that makes time-based codes (RFC 6238). One for each account."""

    __tablename__ = "totp_factors"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"), primary_key=True)
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The time step whose code was taken last: neither it nor an earlier one is taken again."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """None until a first code has shown that the app has the secret: until then it is not asked for."""


class Passkey(Core):
    """A public key of an authenticator (Web Authentication)."""

    __tablename__ = "passkeys"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """COSE."""
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """How often the authenticator says it was used; 0 for ever for those that do not count."""
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text))
    is_synced: Mapped[bool] = mapped_column(Boolean)
    """Whether it may be on several devices of its owner."""
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class RecoveryCode(Core):
    """A recovery code that was not used yet."""

    __tablename__ = "recovery_codes"

    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
