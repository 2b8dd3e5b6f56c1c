"""Tenants as the operator's API shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

_TENANT: JsonDict = {
    "id": "0b6f5c1e-6d0f-4b4e-9c0a-0f6f6f1f2a3b",
    "slug": "acme",
    "name": "Acme Real Estate",
    "status": "active",
    "status_reason": None,
    "plan": "standard",
    "database": "main",
    "schema_version": "0001",
    "created_at": "2026-11-01T09:00:00Z",
    "delete_after": None,
}
_INVITATION: JsonDict = {
    "invitation": "q1YF3v…",
    "invitation_link": "https://insula.example.com/invitation#q1YF3v…",
}
_LINK = "The page on which the invited person joins: give it to them alone, it is a password."
_PLACE = r"^[a-z][a-z0-9_-]{0,62}$"


class Tenant(BaseModel):
    """A tenant."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _TENANT})

    id: UUID
    slug: str = Field(description="Its name in topics and URLs; never changes.")
    name: str
    status: Literal["active", "suspended", "deleting"]
    status_reason: str | None = Field(description="Why it is suspended.")
    plan: str
    database: str = Field(description="Name of the database it lives in.")
    schema_version: str | None
    created_at: datetime
    delete_after: datetime | None = Field(description="When it is erased; null when nobody asked for that.")


class NewTenant(BaseModel):
    """What a new tenant is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"slug": "acme", "name": "Acme Real Estate", "owner_email": "ada@acme.example"}
        },
    )

    slug: str = Field(description="3 to 40 lower-case letters, digits and hyphens, starting with a letter.")
    name: str = Field(description="The name that people know it by.")
    owner_email: str | None = Field(default=None, description="Whom to invite as its first owner.")
    plan: str = Field(default="standard", pattern=_PLACE, description="Its plan: what it may use.")
    database: str = Field(default="main", pattern=_PLACE, description="Where it shall live.")


class CreatedTenant(Tenant):
    """A tenant that was just made."""

    model_config = ConfigDict(json_schema_extra={"example": {**_TENANT, **_INVITATION}})

    invitation: str | None = Field(
        description="Token of the owner's invitation, good for 14 days and shown this once; null when nobody "
        "was invited, or when an earlier request with the same Idempotency-Key got it."
    )
    invitation_link: str | None = Field(description=_LINK)


class Suspension(BaseModel):
    """Why a tenant is suspended."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        description="The tenant's people and programs read it.", examples=["unpaid since October"]
    )


class NewOwner(BaseModel):
    """Whom to invite as an owner."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(examples=["ada@acme.example"])


class InvitedOwner(BaseModel):
    """An invitation that was just made."""

    model_config = ConfigDict(json_schema_extra={"example": _INVITATION})

    invitation: str = Field(description="Its token, good for 14 days and shown this once.")
    invitation_link: str = Field(description=_LINK)


class Receipt(BaseModel):
    """Proof that a tenant was erased."""

    model_config = ConfigDict(from_attributes=True)

    tenant_id: UUID
    tenant_slug: str
    erased_at: datetime
    receipt: str = Field(
        description="A JWS (compact) signed with the platform's key, see `/oauth/jwks.json`, or "
        "`/oauth/retired-keys.json` when it has been replaced: where was looked for what, and what was "
        "found."
    )
