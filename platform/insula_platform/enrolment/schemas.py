"""Claim codes, provisioning keys and enrolments as the API shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.certificates.schemas import NewCertificate
from insula_platform.devices.schemas import Broker, Secrets, Serial, Slug, Snippets, SpaceId, Topics, TypeId

FIVE_YEARS = 5 * 366 * 86_400

Name = Annotated[str, Field(min_length=1, max_length=200)]
Prefix = Annotated[
    str, Field(max_length=40, description="How the names of its devices begin; a hyphen and more follow.")
]
ExpiresIn = Annotated[int, Field(ge=60, le=FIVE_YEARS, description="Seconds until it is good for nothing.")]
Csr = Annotated[
    str | None,
    Field(
        max_length=16_384,
        description="Where devices sign in with certificates: the device's certificate signing request "
        "(PKCS #10) in PEM, signed by the key that it holds. Elsewhere it is passed over.",
    ),
]
EnrolmentState = Literal["waiting", "approved", "enrolled", "rejected"]


class NewBatch(BaseModel):
    """Claim codes to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Delivery of November",
                "count": 500,
                "prefix": "th",
                "type": "temperature-sensor",
                "space_id": 1,
                "expires_in": 31_536_000,
            }
        },
    )

    name: Name
    count: int = Field(ge=1, le=10_000, description="How many codes.")
    prefix: Prefix
    type: TypeId = None
    space_id: SpaceId = None
    expires_in: ExpiresIn = 366 * 86_400


class Batch(BaseModel):
    """A batch of claim codes, and how far it is used."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "6f0c2e8e-3d2b-4d39-9d0a-2a5f0c6b7e11",
                "name": "Delivery of November",
                "prefix": "th",
                "type": "temperature-sensor",
                "space_id": 1,
                "created_at": "2026-11-24T08:00:00Z",
                "expires_at": "2027-11-25T08:00:00Z",
                "revoked_at": None,
                "codes": 500,
                "claimed": 17,
            }
        },
    )

    id: UUID
    name: str
    prefix: str
    type: str | None = Field(validation_alias="device_type")
    space_id: int | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    codes: int = Field(description="How many there are.")
    claimed: int = Field(description="How many of them were traded for a device.")


class MadeBatch(BaseModel):
    """A new batch with its codes."""

    batch: Batch
    codes: list[str] | None = Field(
        description="The codes in the order of their numbers, 1 and up: told this once, and kept by nobody. "
        "Null when an earlier request with the same Idempotency-Key got them.",
        examples=[["7K3M-Q9TX-22B8-PW4D"]],
    )


class Claim(BaseModel):
    """What became of one code."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"example": {"number": 2, "device": "th-2", "claimed_at": "2026-11-24T09:12:31Z"}},
    )

    number: int
    device: str | None = Field(description="The device that claimed it; null when none has.")
    claimed_at: datetime | None


class Claiming(BaseModel):
    """A code to trade for a login."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"code": "7K3M-Q9TX-22B8-PW4D", "serial": "A4C13800"}}
    )

    code: str = Field(max_length=60, description="As it is printed; case, hyphens and blanks do not matter.")
    serial: Serial | None = None
    csr: Csr = None


class LetIn(BaseModel):
    """A device that came in, its login, and how to use it."""

    tenant: str
    device: str
    credentials: Secrets | None = Field(
        description="Null where devices sign in with certificates: `certificate` is in its place."
    )
    certificate: NewCertificate | None = Field(
        description="What the device signs in with, and the authority that vouches for it; it renews it by "
        "itself from then on. Null where devices sign in with passwords."
    )
    broker: Broker
    topics: Topics
    snippets: Snippets
    qr: str | None = Field(
        description="A QR code (SVG, as a data URI) that holds broker, login and topic as JSON; null where "
        "`credentials` are."
    )


class NewProvisioningKey(BaseModel):
    """A provisioning key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Fleet of the west wing",
                "prefix": "west",
                "types": ["temperature-sensor"],
                "approved_serials": ["A4C1*"],
                "most_devices": 500,
                "expires_in": 7_776_000,
            }
        },
    )

    name: Name
    prefix: Prefix
    types: list[str] = Field(
        default_factory=list, max_length=50, description="What its devices may say they are; none for any."
    )
    space_id: SpaceId = None
    approved_serials: list[str] = Field(
        default_factory=list,
        max_length=100,
        description="Serial numbers that need nobody's approval, as patterns: `*` for anything, `?` for one "
        "character. A device that is there already always needs it.",
    )
    most_devices: int = Field(default=100, ge=1, le=1_000_000, description="How many it lets in.")
    expires_in: ExpiresIn = 90 * 86_400


class ProvisioningKey(BaseModel):
    """A provisioning key, without its secret."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "b1c6a1d4-5a0e-4a41-8a52-7f3f6a4d9c02",
                "name": "Fleet of the west wing",
                "prefix": "west",
                "types": ["temperature-sensor"],
                "space_id": None,
                "approved_serials": ["A4C1*"],
                "most_devices": 500,
                "devices": 12,
                "created_at": "2026-11-24T08:00:00Z",
                "expires_at": "2027-02-22T08:00:00Z",
                "revoked_at": None,
                "last_used_at": "2026-11-24T09:12:31Z",
            }
        },
    )

    id: UUID
    name: str
    prefix: str
    types: list[str] = Field(validation_alias="device_types")
    space_id: int | None
    approved_serials: list[str]
    most_devices: int
    devices: int = Field(description="How many have announced themselves with it.")
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class MadeProvisioningKey(BaseModel):
    """A new provisioning key with its secret."""

    key: ProvisioningKey
    secret: str | None = Field(
        description="What devices carry: told this once. Null when an earlier request with the same "
        "Idempotency-Key got it.",
        examples=["isp_V3ry…"],
    )


class Announcement(BaseModel):
    """What a device says of itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"serial": "A4C13800", "type": "temperature-sensor"}},
    )

    serial: str = Field(min_length=1, max_length=100, description="The maker's number: it is known by that.")
    type: TypeId = None
    name: str | None = Field(default=None, max_length=200)


class Announced(BaseModel):
    """The device is known now, and perhaps let in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant": "acme",
                "enrolment": "0d9f7b1e-6c1d-4c5e-8b0a-1f2e3d4c5b6a",
                "state": "waiting",
                "secret": "k2Jq…",
            }
        }
    )

    tenant: str
    enrolment: UUID
    state: EnrolmentState = Field(
        description="`approved`: fetch the login at once; `waiting`: ask again later."
    )
    secret: str = Field(description="To fetch the login with. One of an earlier announcement is void.")


class Fetching(BaseModel):
    """The secret of the announcement."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"secret": "k2Jq…"}})

    secret: str = Field(max_length=100)
    csr: Csr = None


class Waiting(BaseModel):
    """Nobody has decided yet."""

    state: Literal["waiting"] = "waiting"


class Enrolment(BaseModel):
    """A device that announced itself."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "0d9f7b1e-6c1d-4c5e-8b0a-1f2e3d4c5b6a",
                "key_id": "b1c6a1d4-5a0e-4a41-8a52-7f3f6a4d9c02",
                "serial": "A4C13800",
                "type": "temperature-sensor",
                "name": None,
                "state": "waiting",
                "device": None,
                "space_id": None,
                "address": "192.0.2.17",
                "times": 1,
                "created_at": "2026-11-24T09:12:31Z",
                "asked_at": "2026-11-24T09:12:31Z",
                "decided_at": None,
                "enrolled_at": None,
            }
        },
    )

    id: UUID
    key_id: UUID = Field(description="The provisioning key it came with.")
    serial: str
    type: str | None
    name: str | None
    state: EnrolmentState
    device: str | None = Field(description="The id it is to have, or has; null before it is approved.")
    space_id: int | None
    address: str | None = Field(description="Where it announced itself from.")
    times: int = Field(description="How often it did.")
    created_at: datetime
    asked_at: datetime
    decided_at: datetime | None
    enrolled_at: datetime | None


class Approval(BaseModel):
    """As what to let a device in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"device": "meeting-room-1-temperature", "space_id": 1}},
    )

    device: Slug
    name: str | None = Field(default=None, max_length=200, description="Null for the one it gave itself.")
    space_id: SpaceId = None
