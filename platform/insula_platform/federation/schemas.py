"""Single sign-on as the API shows and takes it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.federation import domains
from insula_platform.federation.diagnosis import Finding
from insula_platform.federation.models import TenantDomain

Role = Literal["viewer", "engineer", "admin"]

_SETUP: JsonDict = {
    "issuer": "https://login.acme.example",
    "client_id": "insula",
    "scope": "openid profile email",
    "verified_claim": "email_verified",
    "role_claim": "groups",
    "roles": {"building-engineers": "engineer", "facility-managers": "admin"},
    "default_role": "viewer",
    "admits_new": True,
    "enforced": False,
}


class SingleSignOn(BaseModel):
    """How the tenant's people sign in at its own OpenID provider."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_SETUP,
                "redirect_uri": "https://insula.example.com/signin/sso/acme/callback",
                "signin_url": "https://insula.example.com/signin/sso/acme",
            }
        }
    )

    issuer: str
    client_id: str
    scope: str
    verified_claim: str
    role_claim: str | None
    roles: dict[str, Role]
    default_role: Role | None
    admits_new: bool
    enforced: bool
    redirect_uri: str = Field(description="Register exactly this at the provider.")
    signin_url: str = Field(description="A link that begins at the provider, for a start page of yours.")


class NewSingleSignOn(BaseModel):
    """How the tenant's people shall sign in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {**_SETUP, "client_secret": "q1YF3v…"}}
    )

    issuer: str = Field(
        min_length=8,
        max_length=500,
        pattern=r"^https?://[\x21-\x7e]+$",
        description="The provider's issuer, exactly as its discovery document writes it: the address before "
        "`/.well-known/openid-configuration`.",
    )
    client_id: str = Field(min_length=1, max_length=300, pattern=r"^[\x20-\x7e]+$")
    client_secret: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        pattern=r"^[\x20-\x7e]+$",
        description="It is kept sealed and never shown. Leave it out to keep the one there is.",
    )
    scope: str = Field(
        default="openid profile email",
        max_length=500,
        pattern=r"^[\x20-\x7e]+$",
        description="What is asked for, space-separated; `openid` among it.",
    )
    verified_claim: str = Field(
        default="email_verified",
        min_length=1,
        max_length=100,
        description="The claim that says that the provider has verified the e-mail address; `xms_edov` with "
        "Microsoft Entra ID.",
    )
    role_claim: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The claim whose values give the role, at each sign-in. Without it the groups that SCIM "
        "brings do.",
    )
    roles: dict[str, Role] = Field(
        default_factory=dict,
        max_length=200,
        description="Role by value of the claim, or by name of a group. Of several the strongest counts. "
        "Owners are made by owners.",
    )
    default_role: Role | None = Field(
        default=None, description="The role of those whom `roles` gives none; null keeps them out."
    )
    admits_new: bool = Field(
        default=True, description="Whether somebody who is no member yet becomes one by signing in."
    )
    enforced: bool = Field(
        default=False,
        description="Whether members must sign in there. Owners may use their password all the same.",
    )


class Look(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(from_attributes=True)

    check: str = Field(examples=["discovery"])
    ok: bool
    detail: str = Field(description="What was found, or what is wrong and what would be right.")


class Diagnosis(BaseModel):
    """What was found at the provider."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ok": False,
                "looks": [
                    {
                        "check": "discovery",
                        "ok": False,
                        "detail": "https://login.acme.example/.well-known/openid-configuration answered 404",
                    }
                ],
            }
        }
    )

    ok: bool = Field(description="Whether nothing stands in the way.")
    looks: list[Look]

    @classmethod
    def of(cls, findings: list[Finding]) -> Diagnosis:
        """As the API shows it."""
        return cls(
            ok=all(finding.ok for finding in findings),
            looks=[Look.model_validate(finding) for finding in findings],
        )


class NewDomain(BaseModel):
    """A domain that is the tenant's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"domain": "acme.example"}})

    domain: str = Field(
        max_length=253, description="As in e-mail addresses; each subdomain is one of its own."
    )


class Domain(BaseModel):
    """A domain, and how to prove it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "domain": "acme.example",
                "verified_at": None,
                "record_name": "_insula.acme.example",
                "record_type": "TXT",
                "record_value": "insula-verify=q1YF3v…",
            }
        }
    )

    domain: str
    verified_at: datetime | None = Field(description="Since when it is proven; null when it is not.")
    record_name: str = Field(description="Where the record is looked for; the domain itself will do too.")
    record_type: Literal["TXT"] = "TXT"
    record_value: str

    @classmethod
    def of(cls, row: TenantDomain) -> Domain:
        """As the API shows it."""
        name, value = domains.record_of(row)
        return cls(domain=row.domain, verified_at=row.verified_at, record_name=name, record_value=value)
