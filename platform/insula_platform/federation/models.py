"""What the registry keeps of tenants' identity providers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, LargeBinary, Text, UniqueConstraint, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import Core


class IdentityProvider(Core):
    """The OpenID provider of a tenant, and who may come in by it."""

    __tablename__ = "identity_providers"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    issuer: Mapped[str] = mapped_column(Text)
    client_id: Mapped[str] = mapped_column(Text)
    client_secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    scope: Mapped[str] = mapped_column(Text)
    """What is asked for, space-separated; `openid` among it."""
    verified_claim: Mapped[str] = mapped_column(Text)
    """The claim that says whether the provider has verified the e-mail address."""
    role_claim: Mapped[str | None] = mapped_column(Text)
    """The claim whose values give the role; None where SCIM's groups do."""
    roles: Mapped[dict[str, str]] = mapped_column(JSONB)
    """Role by value of the claim, or by name of a group."""
    default_role: Mapped[str | None] = mapped_column(Text)
    """The role of those whom `roles` gives none; None keeps them out."""
    admits_new: Mapped[bool] = mapped_column(Boolean)
    """Whether somebody who is no member yet becomes one by signing in."""
    enforced: Mapped[bool] = mapped_column(Boolean)
    """Whether members other than owners must sign in there."""
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class TenantDomain(Core):
    """A domain that a tenant says is its own; `verified_at` tells since when it is proven."""

    __tablename__ = "tenant_domains"

    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(Text, primary_key=True)
    """In lower case, in ASCII (IDNA)."""
    challenge: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class FederatedIdentity(Core):
    """Whom a tenant's provider means by a subject. It goes with the membership."""

    __tablename__ = "federated_identities"
    __table_args__ = (UniqueConstraint("tenant_id", "issuer", "account_id"),)

    tenant_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    issuer: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class FederatedCallback(Core):
    """That an answer of a provider has signed somebody in: a second time it does not."""

    __tablename__ = "federated_callbacks"

    state_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
