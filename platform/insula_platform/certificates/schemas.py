"""What the routes of certificates take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.certificates import Reason

CSR = "-----BEGIN CERTIFICATE REQUEST-----\nMIHh…\n-----END CERTIFICATE REQUEST-----\n"
PEM = "-----BEGIN CERTIFICATE-----\nMIIC…\n-----END CERTIFICATE-----\n"


class Request(BaseModel):
    """A device's request for a certificate."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"csr": CSR}]}, extra="forbid")

    csr: Annotated[
        str,
        Field(
            max_length=16_384,
            description="Certificate signing request (PKCS #10) in PEM, signed by the key that it holds. Its "
            "subject does not matter: the platform names the device.",
        ),
    ]


class NewCertificate(BaseModel):
    """A certificate that was just issued."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {"serial": "5f1c", "certificate": PEM, "authority": PEM, "not_after": "2026-09-01T00:00:00Z"}
            ]
        },
    )

    serial: Annotated[str, Field(description="Serial number in hexadecimal.")]
    certificate: Annotated[str, Field(description="The certificate in PEM.")]
    authority: Annotated[str, Field(description="The tenant's authority, which signed it, in PEM.")]
    not_after: Annotated[datetime, Field(description="When it expires: renew it before.")]


class Certificate(BaseModel):
    """A certificate of a device."""

    model_config = ConfigDict(from_attributes=True)

    serial: Annotated[str, Field(description="Serial number in hexadecimal.")]
    not_before: datetime
    not_after: datetime
    renewed: Annotated[bool, Field(description="Whether the device asked for it with the one before.")]
    revoked_at: datetime | None
    reason: Annotated[str | None, Field(description="Why it was revoked, as RFC 5280 names it.")]


class Revocation(BaseModel):
    """Why a certificate is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "key_compromise"}]})

    reason: Reason = "unspecified"


class Authority(BaseModel):
    """The authority that signs the certificates of the tenant's devices."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key_id": "8d0d…",
                    "certificate": PEM,
                    "crl": "https://insula.example.com/pki/8d0d….crl",
                }
            ]
        }
    )

    key_id: Annotated[str, Field(description="Its subject key identifier in hexadecimal.")]
    certificate: Annotated[str, Field(description="Its certificate in PEM.")]
    crl: Annotated[str, Field(description="Where its list of revoked certificates is, in DER.")]
