"""The three grants: authorization code with PKCE, refresh token with rotation, client credentials.

A code or refresh token is locked together with its grant (`Grant`), so parallel requests are served one after
the other. A second use of either is a sign of theft and ends the whole grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2 import rfc6749
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from joserfc.jwk import RSAKey
from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from insula_platform.oauth import scopes
from insula_platform.oauth.keys import ALGORITHM
from insula_platform.oauth.models import (
    CLIENT_AUTH_METHODS,
    AuthorizationCode,
    Client,
    Grant,
    RefreshToken,
    fingerprint,
    new_secret,
)
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.people import Member, member_of
from insula_platform.signin.models import SigninSession

CODE_LIFETIME = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ResourceOwner:
    """A person, and the grant by which they let a client act for them: what Authlib calls the user."""

    member: Member
    grant: Grant


class CodeGrant(rfc6749.AuthorizationCodeGrant):  # type: ignore[misc] # Authlib ships no types
    """`authorization_code`."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS

    @staticmethod
    def validate_authorization_redirect_uri(request: ProviderRequest, client: Client) -> str:
        """The address, exactly as it is registered. What was given instead is not repeated."""
        redirect_uri: str = request.payload.redirect_uri or ""
        if not client.check_redirect_uri(redirect_uri):
            raise InvalidRequestError("The redirect_uri is missing or not registered for this client.")
        return redirect_uri

    def create_authorization_response(
        self, redirect_uri: str, grant_user: Member
    ) -> tuple[int, str, list[tuple[str, str]]]:
        """Refuse here what the role leaves nothing of, rather than at the token endpoint."""
        if not scopes.cut_to_role(self.request.scope, grant_user.role):
            raise InvalidScopeError("Your role allows none of these scopes.", redirect_uri=redirect_uri)
        answer: tuple[int, str, list[tuple[str, str]]] = super().create_authorization_response(
            redirect_uri, grant_user
        )
        return answer

    def generate_authorization_code(self) -> str:
        return new_secret()

    def save_authorization_code(self, code: str, request: ProviderRequest) -> None:
        member: Member = request.user
        signin: SigninSession = self.server.signin
        parameters = request.payload.data
        grant = Grant(
            client_id=request.client.client_id,
            account_id=member.account.id,
            tenant_id=member.tenant.id,
            scope=request.scope,
            auth_time=signin.auth_time,
            amr=signin.amr,
            signin_id=signin.id,
        )
        self.server.core.add(
            AuthorizationCode(
                code_hash=fingerprint(code),
                grant=grant,
                redirect_uri=request.payload.redirect_uri,
                nonce=parameters.get("nonce"),
                code_challenge=parameters["code_challenge"],
                code_challenge_method=parameters["code_challenge_method"],
                expires_at=datetime.now(UTC) + CODE_LIFETIME,
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        locked = (
            select(AuthorizationCode)
            .join(AuthorizationCode.grant)
            .options(contains_eager(AuthorizationCode.grant))
            .where(AuthorizationCode.code_hash == fingerprint(code), Grant.client_id == client.client_id)
            .with_for_update()
        )
        found: AuthorizationCode | None = self.server.core.scalar(locked)
        if found is None:
            return None
        if found.redeemed_at is not None:
            found.grant.revoke()
            return None
        return found if _is_alive(found) else None

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        # Kept, so that a second use is noticed.
        authorization_code.redeemed_at = datetime.now(UTC)

    def authenticate_user(self, authorization_code: AuthorizationCode) -> ResourceOwner:
        return resource_owner(self.server.core, authorization_code.grant)


class S256Challenge(CodeChallenge):  # type: ignore[misc] # Authlib ships no types
    """PKCE for every client, by S256 alone: Authlib's own would let it be absent, or be `plain`."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Refuse an authorization request without a challenge by S256."""
        parameters = grant.request.payload.data
        # An absent method would mean `plain`; one that is not supported is refused by Authlib.
        if not parameters.get("code_challenge") or not parameters.get("code_challenge_method"):
            raise InvalidRequestError(
                "PKCE is required: send code_challenge with code_challenge_method=S256."
            )
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDCode):  # type: ignore[misc] # Authlib ships no types
    """The ID token beside the first access token of a grant."""

    def __init__(self, issuer: str, lifetime: int, key: RSAKey) -> None:
        """`lifetime` in seconds."""
        super().__init__()
        self.issuer = issuer
        self.lifetime = lifetime
        self.key = key

    def exists_nonce(self, _nonce: str, _request: ProviderRequest) -> bool:
        return False  # it is the client that checks its nonce, against its own session

    def resolve_client_private_key(self, _client: Client) -> RSAKey:
        return self.key

    def get_client_algorithm(self, _client: Client) -> str:
        return ALGORITHM

    def get_encode_header(self, _client: Client) -> dict[str, Any]:
        return {"alg": ALGORITHM, "kid": self.key.kid}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        expires = int(datetime.now(UTC).timestamp()) + self.lifetime
        return {"iss": self.issuer, "aud": client.client_id, "exp": expires}

    def generate_user_info(self, owner: ResourceOwner, scope: str) -> dict[str, Any]:
        return user_claims(owner.member, scopes.split(scope))


class RefreshGrant(rfc6749.RefreshTokenGrant):  # type: ignore[misc] # Authlib ships no types
    """`refresh_token`: each is good for one use and brings the next."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        found = lock_refresh_token(self.server.core, refresh_token)
        if found is None or not found.check_client(self.request.client):
            return None
        if found.used_at is not None:
            found.grant.revoke()
            return None
        return found if _is_alive(found) else None

    def authenticate_user(self, refresh_token: RefreshToken) -> ResourceOwner:
        return resource_owner(self.server.core, refresh_token.grant)

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        refresh_token.used_at = datetime.now(UTC)


class ServiceGrant(rfc6749.ClientCredentialsGrant):  # type: ignore[misc] # Authlib ships no types
    """`client_credentials`: a program acts for itself, in the tenant it belongs to."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS


def lock_refresh_token(core: Session, refresh_token: str) -> RefreshToken | None:
    """The refresh token, locked together with its grant until the transaction ends."""
    return core.scalar(
        select(RefreshToken)
        .join(RefreshToken.grant)
        .options(contains_eager(RefreshToken.grant))
        .where(RefreshToken.token_hash == fingerprint(refresh_token))
        .with_for_update()
    )


def resource_owner(core: Session, grant: Grant) -> ResourceOwner:
    """Whose grant this is; `invalid_grant` when they left the tenant."""
    member = member_of(core, grant.account_id, grant.tenant_id)
    if member is None:
        raise InvalidGrantError("The person no longer belongs to the tenant.")
    return ResourceOwner(member, grant)


def user_claims(member: Member, granted: list[str] | frozenset[str]) -> dict[str, Any]:
    """What these scopes let a client know of a person: `sub`, tenant and role always."""
    claims = {
        "sub": member.get_user_id(),
        "tenant": member.tenant.slug,
        "tenant_name": member.tenant.name,
        "role": member.role,
    }
    if "profile" in granted:
        claims["name"] = member.account.name
    if "email" in granted:
        claims["email"] = member.account.email
    return claims


def _is_alive(credential: AuthorizationCode | RefreshToken) -> bool:
    return credential.expires_at > datetime.now(UTC) and credential.grant.revoked_at is None
