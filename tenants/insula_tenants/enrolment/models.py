"""What lets devices in before they are known, and those that have announced themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, DateTime, ForeignKey, Integer, Text, UniqueConstraint, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core, PerTenant
from insula_tenants.registry import Tenant
from insula_tenants.spaces.models import Space

EnrolmentState = Literal["waiting", "approved", "enrolled", "rejected"]


class ClaimBatch(Core):
    """Codes that were made together, and what becomes of a device that claims one."""

    __tablename__ = "claim_batches"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey(Tenant.id))
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    """A claimed device is called `{prefix}-{number of its code}`."""
    device_type: Mapped[str | None] = mapped_column(Text)
    space_id: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    created_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ClaimCode(Core):
    """One code, by its SHA-256."""

    __tablename__ = "claim_codes"
    __table_args__ = (UniqueConstraint("batch_id", "number"),)

    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey(ClaimBatch.id))
    number: Mapped[int]
    device: Mapped[str | None] = mapped_column(Text)
    """Slug of the device that claimed it."""
    claimed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ProvisioningKey(Core):
    """A secret that a whole fleet carries: with it an unknown device may announce itself, and no more."""

    __tablename__ = "provisioning_keys"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey(Tenant.id))
    name: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[str] = mapped_column(Text, unique=True)
    prefix: Mapped[str] = mapped_column(Text)
    """A device that is approved by rule is called `{prefix}-{serial}`, in a slug's letters."""
    device_types: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    """The types it may say it is; none stands for any."""
    space_id: Mapped[int | None] = mapped_column(Integer)
    """Where a device is that is approved by rule."""
    approved_serials: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    """Patterns (`AB-1*`) of the serial numbers that need nobody's approval."""
    most_devices: Mapped[int]
    devices: Mapped[int] = mapped_column(default=0)
    """How many have announced themselves with it."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    created_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Enrolment(PerTenant):
    """A device that has announced itself: known by its serial number, trusted with nothing yet."""

    __tablename__ = "enrolments"
    __table_args__ = (UniqueConstraint("key_id", "serial"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    key_id: Mapped[UUID] = mapped_column(Uuid)
    serial: Mapped[str] = mapped_column(Text)
    type: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    state: Mapped[EnrolmentState] = mapped_column(Text, default="waiting")
    device: Mapped[str | None] = mapped_column(Text)
    """Slug that it is to have, or has; set when it is approved."""
    space_id: Mapped[int | None] = mapped_column(ForeignKey(Space.id, ondelete="SET NULL"))
    secret_hash: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    """Where it announced itself from."""
    times: Mapped[int] = mapped_column(default=1)
    """How often it did."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    asked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    enrolled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
