"""What the provider keeps. Secrets, codes and refresh tokens are random, and only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, DateTime, ForeignKey, LargeBinary, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from insula_platform.oauth import scopes
from insula_tenants.models import Core
from insula_tenants.registry import Tenant

CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


def new_secret() -> str:
    """256 random bits, URL-safe: too many to guess, so a fast hash protects them at rest."""
    return secrets.token_urlsafe(32)


def fingerprint(secret: str) -> str:
    """The SHA-256 under which a random secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Client(Core):
    """An OAuth client. All are confidential. The methods are those that Authlib asks a client for."""

    __tablename__ = "oauth_clients"

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("tenants.id"))
    """The tenant a service client acts for; None for the platform's own clients."""
    name: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[str] = mapped_column(Text)
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    grant_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    scope: Mapped[str] = mapped_column(Text)
    auth_method: Mapped[str] = mapped_column(Text, default="client_secret_basic")
    """How it proves who it is: `client_secret_basic` or `_post`, `private_key_jwt`, or `none` (RFC 7591)."""
    application_type: Mapped[str] = mapped_column(Text, default="web")
    """`web`, or `native` for a program on people's own machines."""
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The public keys of `private_key_jwt`."""
    first_party: Mapped[bool] = mapped_column(default=False)
    """The operator's own: people are not asked for their consent."""
    created_by: Mapped[str | None] = mapped_column(Text)
    """Kind and id of who made it, as the audit log names them."""
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Since when nothing it holds is good for anything; None while it works."""
    places: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Of a service client: the places it may act in (`Places.told`); None is the whole tenant."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    tenant: Mapped[Tenant | None] = relationship()

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """There is none: a request must name the address it wants the code sent to."""

    def get_allowed_scope(self, requested: str | None) -> str | None:
        """What this client gets of the scopes it asked for: all of its own when it named none.

        None when nothing is left, which Authlib answers with `invalid_scope`.
        """
        own = scopes.split(self.scope)
        wanted = scopes.split(requested) or own
        return scopes.join(name for name in wanted if name in own) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(self.secret_hash, fingerprint(client_secret))

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in CLIENT_AUTH_METHODS

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and self.check_grant_type("authorization_code")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


class Grant(Core):
    """That a person let a client act for them in one tenant: the family of a code and its refresh tokens.

    Whoever redeems, refreshes or revokes locks this row first, so a family lives or dies as a whole.
    """

    __tablename__ = "oauth_grants"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    client_id: Mapped[str] = mapped_column(Text, ForeignKey("oauth_clients.client_id"))
    account_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("accounts.id"))
    tenant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tenants.id"))
    scope: Mapped[str] = mapped_column(Text)
    auth_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """When the person proved who they are."""
    amr: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{pwd}")
    """How they proved it: RFC 8176."""
    signin_id: Mapped[UUID | None] = mapped_column(Uuid)
    """The sign-in session it was given in: whoever ends that one ends this too. None when it is over."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    def revoke(self) -> None:
        """End the whole family."""
        self.revoked_at = self.revoked_at or datetime.now(UTC)


class AuthorizationCode(Core):
    """A code on its way from the browser back to the client. Its methods are those that Authlib asks for."""

    __tablename__ = "oauth_codes"

    code_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("oauth_grants.id"))
    redirect_uri: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    code_challenge: Mapped[str] = mapped_column(Text)
    code_challenge_method: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    redeemed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    grant: Mapped[Grant] = relationship()

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.grant.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.grant.auth_time.timestamp())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> list[str]:
        return self.grant.amr


class RefreshToken(Core):
    """A refresh token, good for one use. Its methods are those that Authlib asks for."""

    __tablename__ = "oauth_refresh_tokens"

    token_hash: Mapped[str] = mapped_column(Text, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("oauth_grants.id"))
    issued_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    grant: Mapped[Grant] = relationship()

    def check_client(self, client: Client) -> bool:
        return self.grant.client_id == client.client_id

    def get_scope(self) -> str:
        return self.grant.scope


class RevokedToken(Core):
    """An access token of a program that was called back before its time. A person's ends with its grant."""

    __tablename__ = "revoked_tokens"

    jti: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SigningKey(Core):
    """A key that signs tokens."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    algorithm: Mapped[str] = mapped_column(Text)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    private_jwk_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    signs_from: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    """Published from its creation on, it signs from here on."""


class RetiredSigningKey(Core):
    """The public half of a key that signs no more, and by which no token is believed."""

    __tablename__ = "retired_signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    signs_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    retired_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
