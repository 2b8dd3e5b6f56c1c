"""Revocation (RFC 7009), introspection (RFC 7662), sign-out by a client (OpenID RP-Initiated Logout)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import rfc7009, rfc7662
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc import rpinitiated

from insula_platform.oauth.families import StandingToken, find_standing
from insula_platform.oauth.models import CLIENT_AUTH_METHODS, CONFIDENTIAL_AUTH_METHODS, Client
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.oauth.tokens import InvalidToken, read_id_token_hint
from insula_tenants.audit import Actor


class Revocation(rfc7009.RevocationEndpoint):  # type: ignore[misc] # Authlib ships no types
    """Revoking either token of a person's ends the whole grant; a program's access token ends alone."""

    CLIENT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def check_params(self, request: ProviderRequest, _client: Client) -> None:
        """A hint of another kind is ignored, as section 2.1 allows."""
        _require_token(request)

    def query_token(self, token_string: str, _token_type_hint: str | None) -> StandingToken | None:
        return find_standing(self.server.platform, self.server.core, token_string)

    def revoke_token(self, token: StandingToken, request: ProviderRequest) -> None:
        actor = Actor("client", request.client.client_id, request.address or None)
        token.revoke(self.server.core, actor, "the client revoked it")


class Introspection(rfc7662.IntrospectionEndpoint):  # type: ignore[misc] # Authlib ships no types
    """What a token is good for, told to those whom it concerns: see `StandingToken.concerns`.

    Of all others, and of what is no token at all, the answer is the same: it is not active.
    """

    CLIENT_AUTH_METHODS = CONFIDENTIAL_AUTH_METHODS

    def check_params(self, request: ProviderRequest, _client: Client) -> None:
        """A hint of another kind is ignored, as section 2.1 allows."""
        _require_token(request)

    def query_token(self, token_string: str, _token_type_hint: str | None) -> StandingToken | None:
        return find_standing(self.server.platform, self.server.core, token_string)

    def check_permission(self, token: StandingToken, client: Client, _request: ProviderRequest) -> bool:
        return token.concerns(client)

    def introspect_token(self, token: StandingToken) -> dict[str, Any]:
        return token.told


def _require_token(request: ProviderRequest) -> None:
    if "token" not in request.form:
        raise InvalidRequestError("Missing 'token' in request.")


class EndSession(rpinitiated.EndSessionEndpoint):  # type: ignore[misc] # Authlib ships no types
    """Checks a client's wish to sign a person out; the route does it, for the session is in the cookie."""

    def end_session(self, _end_session_request: rpinitiated.EndSessionRequest) -> None:
        """The route has done it."""

    def is_post_logout_redirect_uri_legitimate(
        self, _request: ProviderRequest, _address: str, client: Client, _logout_hint: str | None
    ) -> bool:
        """Without a hint the operator's own clients alone are believed: anybody can have made the others."""
        return client.first_party

    def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
        platform = self.server.platform
        try:
            return read_id_token_hint(platform.settings, platform.signing_keys, id_token_hint)
        except InvalidToken:
            raise InvalidRequestError("The id_token_hint is no ID token of this issuer.") from None

    def _is_valid_post_logout_redirect_uri(self, client: Client, post_logout_redirect_uri: str) -> bool:
        return client.check_post_logout_redirect_uri(post_logout_redirect_uri)
