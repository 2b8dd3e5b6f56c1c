"""Long work on a tenant, what is left of an erased one, and requests that may come twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, DateTime, Integer, LargeBinary, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class TenantJob(Core):
    """Work on a tenant that takes steps, and how far it is."""

    __tablename__ = "tenant_jobs"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID | None] = mapped_column(Uuid)
    tenant_slug: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    """`create`, `export`, `import`, `delete`, or `devices` for an upload of devices."""
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    """`waiting`, `running`, `done` or `failed`."""
    step: Mapped[str | None] = mapped_column(Text)
    done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    total: Mapped[int | None] = mapped_column(BigInteger)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class ErasureReceipt(Core):
    """What was looked for after an erasure, and not found: a JWS under the platform's key."""

    __tablename__ = "erasure_receipts"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    tenant_slug: Mapped[str] = mapped_column(Text)
    erased_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    receipt: Mapped[str] = mapped_column(Text)


class IdempotencyKey(Core):
    """A request that names itself, and the answer it got."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None] = mapped_column(Integer)
    body: Mapped[Any | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
