"""What a request could ask for and would not get: it is refused, rather than answered in another way."""

from __future__ import annotations

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc9101.errors import RequestNotSupportedError, RequestUriNotSupportedError

from insula_platform.oauth.grants import CodeGrant
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.settings import PlatformSettings

RESPONSE_MODES = ("query",)
PROMPTS = ("none", "login", "consent", "select_account")


class RegistrationNotSupported(OAuth2Error):  # type: ignore[misc] # Authlib ships no types
    """Clients are registered beforehand (OpenID Connect Core, section 3.1.2.6)."""

    error = "registration_not_supported"
    description = "Clients are registered beforehand."


class InvalidTarget(OAuth2Error):  # type: ignore[misc] # Authlib ships no types
    """There is one resource, and this is another (RFC 8707, section 2)."""

    error = "invalid_target"
    description = "Tokens are good for the API of this platform alone."


class OnlySupported:
    """An extension of the authorization code grant."""

    def __call__(self, grant: CodeGrant) -> None:
        """Authlib's way to register it. What it raises goes back to the client's address."""
        grant.register_hook("after_validate_authorization_request_payload", self.validate)

    def validate(self, grant: CodeGrant, _redirect_uri: str) -> None:
        """Refuse what the metadata does not list."""
        parameters = grant.request.payload.data
        if "request" in parameters:
            raise RequestNotSupportedError
        if "request_uri" in parameters:
            raise RequestUriNotSupportedError
        if "registration" in parameters:
            raise RegistrationNotSupported
        if parameters.get("response_mode", "query") not in RESPONSE_MODES:
            raise InvalidRequestError(f"Only response_mode={RESPONSE_MODES[0]} is supported.")
        if not set(parameters.get("prompt", "").split()) <= set(PROMPTS):
            raise InvalidRequestError(f"A prompt is one of: {', '.join(PROMPTS)}.")
        refuse_other_resources(grant.request, grant.server.platform.settings)


def refuse_other_resources(request: ProviderRequest, settings: PlatformSettings) -> None:
    """`invalid_target` for a `resource` that is not our API: a token for it would not be what it seems."""
    if request.payload.data.get("resource", settings.api_audience) != settings.api_audience:
        raise InvalidTarget
