"""Access tokens (RFC 9068): written by the token endpoint, believed by the API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from anyio import to_thread
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from insula_platform.oauth import scopes
from insula_platform.oauth.keys import ALGORITHM, SigningKeys
from insula_platform.oauth.models import Grant
from insula_platform.settings import PlatformSettings

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, no secret
_ACCESS_TOKEN_TYPES = (ACCESS_TOKEN_TYPE, f"application/{ACCESS_TOKEN_TYPE}")
"""How it may be written (RFC 9068, section 4)."""


class InvalidToken(Exception):
    """The token is malformed, expired, or not one of ours for this purpose."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid access token says."""

    subject: str
    """The account's id for a person, the client's id for a program."""
    client_id: str
    tenant: str | None
    """Slug of the one tenant the token is good for; None for the operator's, which are good for none."""
    scopes: frozenset[str]
    expires_at: float
    """Seconds since the epoch."""
    id: str
    """The token's own (`jti`)."""
    grant_id: UUID | None
    """The grant by which a person let the client act (`gid`); None for programs, which act for themselves."""
    key_id: str
    """The key that signed it."""


def sign(key: RSAKey, claims: dict[str, Any], token_type: str) -> str:
    """A JWS in compact form; the header names the key."""
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": token_type}, claims, key, [ALGORITHM])


def write_access_token(
    settings: PlatformSettings,
    key: RSAKey,
    *,
    subject: str,
    client_id: str,
    tenant: str | None,
    scope: str,
    grant: Grant | None = None,
) -> str:
    """A signed access token, bound to one tenant or, for the operator's programs, to none.

    With a person's `grant` it tells which one it descends from, and when and how they proved who they are
    (RFC 9068, section 2.2.1): what they did then, however often the grant is refreshed.
    """
    now = int(time.time())
    claims = {
        "iss": settings.public_url,
        "aud": settings.api_audience,
        "sub": subject,
        "client_id": client_id,
        **({} if tenant is None else {"tenant": tenant}),
        "scope": scope,
        "iat": now,
        "exp": now + settings.access_token_lifetime,
        "jti": uuid4().hex,
    }
    if grant is not None:
        claims |= {
            "gid": str(grant.id),
            "auth_time": int(grant.auth_time.timestamp()),
            "amr": grant.amr,
        }
    return sign(key, claims, ACCESS_TOKEN_TYPE)


async def read_access_token(settings: PlatformSettings, keys: SigningKeys, token: str) -> AccessToken:
    """What `token` says, or `InvalidToken`. Touches the database only for a key not seen before."""
    kid = _header(token, *_ACCESS_TOKEN_TYPES)
    key = keys.known(kid) or await to_thread.run_sync(keys.find, kid)
    return _access_token(settings, key, token)


def is_access_token(settings: PlatformSettings, keys: SigningKeys, token: str) -> bool:
    """Whether `token` is a valid access token, signed with a key that has been read already."""
    try:
        _access_token(settings, keys.known(_header(token, *_ACCESS_TOKEN_TYPES)), token)
    except InvalidToken:
        return False
    return True


def read_id_token_hint(settings: PlatformSettings, keys: SigningKeys, token: str) -> dict[str, Any]:
    """The claims of an ID token of ours, expired or not, or `InvalidToken`. The keys must have been read."""
    claims = _verified(keys.known(_header(token, "JWT")), token)
    if claims.get("iss") != settings.public_url:
        raise InvalidToken("the token was issued by someone else")
    return claims


def _access_token(settings: PlatformSettings, key: RSAKey | None, token: str) -> AccessToken:
    if key is None:
        raise InvalidToken("the token was signed with a key that is not ours")
    claims = _verified(key, token)
    required = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": settings.public_url},
        aud={"essential": True, "value": settings.api_audience},
        exp={"essential": True},
        iat={"essential": True},
        jti={"essential": True},
        sub={"essential": True},
    )
    try:
        required.validate(claims)
    except JoseError as error:
        raise InvalidToken(f"the token's claims do not fit: {error.error}") from None
    named = ("sub", "client_id", "tenant", "scope", "jti")
    subject, client_id, tenant, scope, token_id = (claims.get(name) for name in named)
    if not (
        isinstance(subject, str)
        and isinstance(client_id, str)
        and isinstance(token_id, str)
        and (tenant is None or isinstance(tenant, str))
        and isinstance(scope, str)
    ):
        raise InvalidToken("the token lacks a claim")
    granted = frozenset(scopes.split(scope))
    operators = granted & scopes.OPERATOR_SCOPES.keys()
    # A token is a tenant's or the operator's: one that would be both, or neither, is nobody's.
    if operators if tenant is not None else not granted or operators != granted:
        raise InvalidToken("the token lacks a claim")
    grant_id, expires_at = _grant_id(claims.get("gid")), float(claims["exp"])
    return AccessToken(subject, client_id, tenant, granted, expires_at, token_id, grant_id, str(key.kid))


def _grant_id(claim: Any) -> UUID | None:
    if claim is None:
        return None
    try:
        return UUID(claim)
    except (ValueError, AttributeError, TypeError):
        raise InvalidToken("the token names no grant of ours") from None


def _header(token: str, *token_types: str) -> str:
    """The key id of a token of one of these types. Nothing is verified yet."""
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidToken("the token is malformed") from None
    kid = header.get("kid")
    if header.get("typ") not in token_types or header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise InvalidToken(f"the token is not a {token_types[0]} signed with {ALGORITHM}")
    return kid


def _verified(key: RSAKey | None, token: str) -> dict[str, Any]:
    if key is None:
        raise InvalidToken("the token was signed with a key that is not ours")
    try:
        return jwt.decode(token, key, [ALGORITHM]).claims
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidToken("the token's signature or form is wrong") from None
