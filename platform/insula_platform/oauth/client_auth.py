"""How a client proves who it is: by its secret in the header, or by its own signature (RFC 7523)."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523.client import JWTBearerClientAssertion
from joserfc import jws, jwt
from joserfc.errors import JoseError
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.oauth.client_keys import SignatureAlgorithms, keys_for
from insula_platform.oauth.models import Client, ClientAssertion, fingerprint
from insula_platform.oauth.requests import ProviderRequest

MAX_LIFETIME = 300
"""Seconds for which an assertion may be good: as long as that, its id is remembered."""

LEEWAY = 30
"""Seconds by which the client's clock may be wrong."""

_MAX_ID_LENGTH = 255
_UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)


def client_secret_basic(
    query_client: Callable[[str], Client | None], request: ProviderRequest
) -> Client | None:
    """The client whose id and secret the `Authorization` header has; None when it has none that are good.

    RFC 6749, section 2.3.1, has both encoded as in a form: Authlib decodes `%20`, and not the `+` that forms
    write. And many a client, Authlib's among them, encodes nothing: so a secret is heard as it is, too.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    client = query_client(unquote_plus(client_id))
    if client is None or not secret:
        return None
    return client if any(map(client.check_client_secret, (unquote_plus(secret), secret))) else None


class PrivateKeyJwt(JWTBearerClientAssertion):  # type: ignore[misc] # Authlib ships no types
    """Checks a client's assertion with the keys that were registered for it. Each is good once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, core: Session, issuer: str) -> None:
        """`core` is the provider's transaction: that an assertion was used is kept with what it brought."""
        super().__init__(leeway=LEEWAY)
        self.core = core
        self.issuer = issuer

    def __call__(
        self, query_client: Callable[[str], Client | None], request: ProviderRequest
    ) -> Client | None:
        """The client whose assertion the request has; None when it has none."""
        try:
            client: Client | None = super().__call__(query_client, request)
        except _UNREADABLE:
            raise InvalidClientError("Invalid JWT assertion.") from None
        # RFC 7521, section 4.2: a client_id beside the assertion must name the same client.
        if client is not None and request.form.get("client_id", client.client_id) != client.client_id:
            raise InvalidClientError("The client_id is not that of the assertion.")
        return client

    def get_audiences(self) -> list[str]:
        """The issuer, as newer clients write (draft-ietf-oauth-rfc7523bis), and the token endpoint."""
        return [self.issuer, f"{self.issuer}/oauth/token"]

    def resolve_client_public_key(self, client: Client) -> Client:
        """The client itself: which of its keys it is depends on the header, which Authlib does not show."""
        if client.auth_method != self.CLIENT_AUTH_METHOD:
            raise InvalidClientError("The client has no keys.")
        return client

    def process_assertion_claims(self, assertion: str, client: Client) -> dict[str, Any]:
        """The claims, verified by one of the client's keys. Which algorithm it takes is ours to say."""
        header = jws.extract_compact(assertion.encode()).headers()
        for key in keys_for(client.jwks, header):
            try:
                claims = jwt.decode(assertion, key, registry=SignatureAlgorithms()).claims
            except JoseError:
                continue
            self.verify_claims(claims)
            return claims
        raise InvalidClientError("None of the client's keys has made this signature.")

    def verify_claims(self, claims: dict[str, Any]) -> None:
        """Besides what Authlib checks: an end in sight, so that ids need not be remembered for ever."""
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires > time.time() + MAX_LIFETIME + LEEWAY:
            raise InvalidClientError(f"An assertion may be good for {MAX_LIFETIME} seconds at most.")
        super().verify_claims(claims)

    def validate_jti(self, claims: dict[str, Any], jti: object) -> bool:
        """Whether this assertion was never used. Of several at once, one is."""
        if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_ID_LENGTH:
            return False
        client_id = claims["sub"]
        now = datetime.now(UTC)
        forgotten = datetime.fromtimestamp(claims["exp"] + LEEWAY, UTC)
        self.core.execute(
            delete(ClientAssertion).where(
                ClientAssertion.client_id == client_id, ClientAssertion.expires_at < now
            )
        )
        row = insert(ClientAssertion).values(
            client_id=client_id, jti_hash=fingerprint(jti), expires_at=forgotten
        )
        noted = self.core.scalar(row.on_conflict_do_nothing().returning(ClientAssertion.jti_hash))
        return noted is not None
