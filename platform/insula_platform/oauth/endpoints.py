"""Revocation (RFC 7009) and sign-out by a client (OpenID Connect RP-Initiated Logout)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import rfc7009
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oidc import rpinitiated

from insula_platform.oauth.grants import lock_refresh_token
from insula_platform.oauth.models import CLIENT_AUTH_METHODS, Client, RefreshToken
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.oauth.tokens import InvalidToken, is_access_token, read_id_token_hint


class UnsupportedTokenTypeError(OAuth2Error):  # type: ignore[misc] # Authlib ships no types
    """Access tokens cannot be called back (RFC 7009, section 2.2.1)."""

    error = "unsupported_token_type"
    description = "An access token cannot be revoked; it expires by itself. Revoke the refresh token."


class Revocation(rfc7009.RevocationEndpoint):  # type: ignore[misc] # Authlib ships no types
    """Revoking a refresh token ends its whole grant."""

    CLIENT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def check_params(self, request: ProviderRequest, _client: Client) -> None:
        """A hint of another kind is ignored, as section 2.1 allows."""
        if "token" not in request.form:
            raise InvalidRequestError("Missing 'token' in request.")

    def query_token(self, token_string: str, _token_type_hint: str | None) -> RefreshToken | None:
        found = lock_refresh_token(self.server.core, token_string)
        platform = self.server.platform
        if found is None and is_access_token(platform.settings, platform.signing_keys, token_string):
            raise UnsupportedTokenTypeError
        return found

    def revoke_token(self, token: RefreshToken, _request: ProviderRequest) -> None:
        token.grant.revoke()


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
