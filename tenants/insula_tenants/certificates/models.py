"""A tenant's certificate authority, and the certificates it issued.

They stand in the registry and not in the tenant's schema: the broker asks for all tenants' at once, and its
answer must be one transaction's.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, LargeBinary, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core
from insula_tenants.registry.models import Tenant


class CertificateAuthority(Core):
    """Signs the certificates of one tenant's devices."""

    __tablename__ = "certificate_authorities"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), primary_key=True)
    key_id: Mapped[str] = mapped_column(Text, unique=True)
    """Subject key identifier in hexadecimal: the name of its list of revoked certificates."""
    certificate: Mapped[str] = mapped_column(Text)
    """PEM."""
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")
    """Grows with each revocation."""
    crl: Mapped[bytes | None] = mapped_column(LargeBinary)
    """DER; None before it was first asked for."""
    crl_revision: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The revision it was made at."""
    crl_number: Mapped[int] = mapped_column(BigInteger, server_default="0")
    crl_made_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DeviceCertificate(Core):
    """A certificate that was issued to a device. The certificate itself is public and not kept."""

    __tablename__ = "device_certificates"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey(CertificateAuthority.tenant_id, ondelete="CASCADE")
    )
    device: Mapped[str] = mapped_column(Text)
    serial: Mapped[str] = mapped_column(Text)
    """In hexadecimal."""
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """SHA-256 of the certificate in DER."""
    not_before: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    not_after: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    renewed: Mapped[bool]
    """Whether the device asked for it with the one before."""
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it was revoked, as RFC 5280 calls it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
