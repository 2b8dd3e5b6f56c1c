"""Clients as the API shows and takes them. The names are those of RFC 7591 where it has one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from insula_platform.access.schemas import Places
from insula_platform.oauth import models, scopes
from insula_tenants.spaces.places import Places as Covered

AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
ApplicationType = Literal["web", "native"]
GrantType = Literal["client_credentials", "authorization_code", "refresh_token"]

_SECRET: JsonDict = {
    "id": "7d1f6f6e-0f0e-4c0e-8a55-9d1c3f1b2a77",
    "created_at": "2026-11-23T07:15:00Z",
    "expires_at": None,
    "last_used_at": "2026-11-24T06:30:00Z",
}
_CLIENT: JsonDict = {
    "client_id": "acme-5f0c2a9be1d4",
    "name": "Nightly report",
    "scopes": ["devices:read", "readings:read"],
    "grant_types": ["client_credentials"],
    "token_endpoint_auth_method": "client_secret_basic",
    "application_type": "web",
    "redirect_uris": [],
    "post_logout_redirect_uris": [],
    "jwks": None,
    "places": None,
    "disabled_at": None,
    "created_at": "2026-11-23T07:15:00Z",
    "created_by": "person 0b6f5c1e-6d0f-4b4e-9c0a-0f6f6f1f2a3b",
    "secrets": [_SECRET],
}
_TOLD: JsonDict = {"client_secret": "8w1Yt3…"}

_Name = Annotated[
    str,
    Field(min_length=1, max_length=200, description="What it is: people read it when it asks to be let in."),
]
_Scopes = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=100,
        description="The most it may ask for. At most what your own token holds.",
    ),
]
_RedirectUris = Annotated[
    list[str],
    Field(
        description="Where people come back to, compared as written. https; for native apps also "
        "http://127.0.0.1/… and http://[::1]/… on any port, or a scheme like com.example.app.",
        examples=[["https://app.example.com/callback"]],
    ),
]
_PostLogoutRedirectUris = Annotated[
    list[str], Field(description="Where people may be sent when they have signed out.")
]
_Jwks = Annotated[
    dict[str, Any] | None,
    Field(
        description="Public keys (RFC 7517) for `private_key_jwt`. Several while one takes another's place."
    ),
]


class NewClient(BaseModel):
    """What a new client is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Nightly report",
                "scopes": ["devices:read", "readings:read"],
                "grant_types": ["client_credentials"],
            }
        },
    )

    name: _Name
    scopes: _Scopes
    grant_types: list[GrantType] = Field(
        default=["client_credentials"],
        min_length=1,
        description="`client_credentials` for a program that acts for itself; `authorization_code`, with "
        "`refresh_token` or without, for one that acts for people who let it.",
    )
    token_endpoint_auth_method: AuthMethod = Field(
        default="client_secret_basic",
        description="How it proves who it is. `none` is for native apps alone: they cannot keep a secret.",
    )
    application_type: ApplicationType = Field(
        default="web", description="`native` for a program on people's own machines."
    )
    redirect_uris: _RedirectUris = []
    post_logout_redirect_uris: _PostLogoutRedirectUris = []
    jwks: _Jwks = None
    places: Places | None = Field(
        default=None,
        description="Bind a client that acts for itself to these places; leave it out for the whole tenant.",
    )


class ClientChanges(BaseModel):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"scopes": ["readings:read"]}})

    name: _Name | None = None
    scopes: _Scopes | None = None
    redirect_uris: _RedirectUris | None = None
    post_logout_redirect_uris: _PostLogoutRedirectUris | None = None
    jwks: _Jwks = None
    disabled: bool | None = Field(
        default=None, description="True: nothing it holds is good for anything, until this is false again."
    )


class Secret(BaseModel):
    """A secret of a client, without the secret itself."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _SECRET})

    id: UUID
    created_at: datetime
    expires_at: datetime | None = Field(description="When it stops being good; null for never.")
    last_used_at: datetime | None = Field(description="To the minute; null when it never was.")


class Client(BaseModel):
    """A client of the tenant."""

    model_config = ConfigDict(json_schema_extra={"example": _CLIENT})

    client_id: str
    name: str
    scopes: list[str]
    grant_types: list[str]
    token_endpoint_auth_method: AuthMethod
    application_type: ApplicationType
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    jwks: dict[str, Any] | None
    places: Places | None = Field(description="The places it is bound to; null for the whole tenant.")
    disabled_at: datetime | None = Field(description="Since when it is disabled; null while it works.")
    created_at: datetime
    created_by: str | None = Field(description="Kind and id of who made it, as the audit log names them.")
    secrets: list[Secret] = Field(description="Newest first.")

    @classmethod
    def of(cls, client: models.Client) -> Client:
        """A client as everybody may see it who may see the tenant's clients."""
        return cls(
            client_id=client.client_id,
            name=client.name,
            scopes=scopes.split(client.scope),
            grant_types=client.grant_types,
            token_endpoint_auth_method=client.auth_method,
            application_type=client.application_type,
            redirect_uris=client.redirect_uris,
            post_logout_redirect_uris=client.post_logout_redirect_uris,
            jwks=client.jwks,
            places=Places.shown(Covered.of(client.places)),
            disabled_at=client.disabled_at,
            created_at=client.created_at,
            created_by=client.created_by,
            secrets=[Secret.model_validate(secret) for secret in client.secrets],
        )


class CreatedClient(Client):
    """A client that was just made."""

    model_config = ConfigDict(json_schema_extra={"example": {**_CLIENT, **_TOLD}})

    client_secret: str | None = Field(
        description="Shown this once; null for a client without a secret, and when an earlier request with "
        "the same Idempotency-Key got it."
    )


class Rotation(BaseModel):
    """How the change from the old secret to the new one goes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"overlap_seconds": 86400}})

    overlap_seconds: int = Field(
        default=86400, ge=0, le=90 * 86400, description="For how long those that there are stay good."
    )


class CreatedSecret(Secret):
    """A secret that was just made."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": {**_SECRET, **_TOLD}})

    client_secret: str | None = Field(
        description="Shown this once; null when an earlier request with the same Idempotency-Key got it."
    )
