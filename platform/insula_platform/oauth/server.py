"""The provider: Authlib's authorization server, made anew for each session on the registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnsupportedResponseTypeError,
)
from fastapi.responses import JSONResponse, Response
from joserfc.jwk import RSAKey
from sqlalchemy.orm import Session

from insula_platform.oauth import scopes
from insula_platform.oauth.client_auth import PrivateKeyJwt, client_secret_basic
from insula_platform.oauth.device import DeviceAuthorization, DeviceGrant
from insula_platform.oauth.endpoints import EndSession, Introspection, Revocation
from insula_platform.oauth.grants import (
    CodeGrant,
    IdToken,
    RefreshGrant,
    ResourceOwner,
    S256Challenge,
    ServiceGrant,
)
from insula_platform.oauth.models import Client, RefreshToken, fingerprint, new_secret
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.oauth.supported import OnlySupported, refuse_other_resources
from insula_platform.oauth.tokens import write_access_token
from insula_platform.settings import PlatformSettings
from insula_platform.signin.models import SigninSession
from insula_platform.state import Platform
from insula_tenants.registry import Tenant, why_closed


@contextmanager
def provider(platform: Platform) -> Iterator[Provider]:
    """A provider on a transaction of its own."""
    # The keys first: reading them inside the transaction would hold two connections at once.
    key = platform.signing_keys.signing_key()
    with platform.databases.core() as core:
        yield Provider(platform, core, key)


class Provider(AuthorizationServer):  # type: ignore[misc] # Authlib ships no types
    """The authorization server for the length of one transaction; made by `provider`."""

    def __init__(self, platform: Platform, core: Session, key: RSAKey) -> None:
        """Everything is registered here: grants with their extensions, endpoints, the token generator."""
        super().__init__(scopes_supported=[*scopes.SCOPES, *scopes.OPERATOR_SCOPES])
        self.platform = platform
        self.core = core
        self.signin: SigninSession | None = None
        """The session of the person whose browser brings an authorization request."""
        settings = platform.settings
        id_token = IdToken(settings.public_url, settings.access_token_lifetime, key)
        self.register_grant(CodeGrant, [S256Challenge(), id_token, OnlySupported()])
        self.register_grant(RefreshGrant)
        self.register_grant(ServiceGrant)
        self.register_grant(DeviceGrant, [id_token])
        self.register_endpoint(DeviceAuthorization)
        self.register_client_auth_method("client_secret_basic", client_secret_basic)
        self.register_client_auth_method(
            PrivateKeyJwt.CLIENT_AUTH_METHOD, PrivateKeyJwt(core, settings.public_url)
        )
        self.register_endpoint(Revocation)
        self.register_endpoint(Introspection)
        self.register_endpoint(EndSession)
        self.register_token_generator("default", _TokenGenerator(settings, key))

    def get_authorization_grant(self, request: ProviderRequest) -> CodeGrant:
        """The one grant people use; Authlib's refusal of others, in words that can be read."""
        try:
            grant: CodeGrant = super().get_authorization_grant(request)
        except UnsupportedResponseTypeError as error:
            raise OAuth2Error(
                "Only response_type=code is supported.",
                error="unsupported_response_type",
                redirect_uri=error.redirect_uri,
            ) from None
        return grant

    def create_token_response(self, request: ProviderRequest) -> Response:
        """Authlib's, but for a resource that no token would be good for (RFC 8707, section 2.2)."""
        try:
            refuse_other_resources(request, self.platform.settings)
        except OAuth2Error as error:
            refused: Response = self.handle_error_response(request, error)
            return refused
        answer: Response = super().create_token_response(request)
        return answer

    def query_client(self, client_id: str) -> Client | None:
        """The client, unless it is disabled: then it is as if it were not there."""
        client = self.core.get(Client, client_id) if client_id.isprintable() else None
        return client if client is not None and client.disabled_at is None else None

    def authenticate_client(
        self, request: ProviderRequest, methods: Sequence[str], endpoint: str = "token"
    ) -> Client:
        """The client of a request; one answer for all that is wrong, so that nothing can be probed."""
        _refuse_two_proofs(request)
        try:
            client: Client = super().authenticate_client(request, methods, endpoint)
            _refuse_contradictions(request, client)
        except (InvalidClientError, UnicodeDecodeError):
            # The latter is Authlib's for an Authorization header that is no UTF-8.
            raise InvalidClientError("Client authentication failed.", status_code=401) from None
        return client

    def save_token(self, token: dict[str, Any], request: ProviderRequest) -> None:
        """Keep the refresh token's hash. Access tokens are not kept: they prove themselves."""
        if "refresh_token" not in token:
            return
        lifetime = timedelta(seconds=self.platform.settings.refresh_token_lifetime)
        self.core.add(
            RefreshToken(
                token_hash=fingerprint(token["refresh_token"]),
                grant_id=request.user.grant.id,
                expires_at=datetime.now(UTC) + lifetime,
            )
        )

    def create_oauth2_request(self, request: ProviderRequest) -> ProviderRequest:
        return request  # made by `insula_platform.oauth.requests`, once

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Response:
        fields = dict(headers)
        if isinstance(body, dict):
            return JSONResponse(body, status, fields)
        return Response(body, status, fields)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""


class _TokenGenerator:
    """Makes the token endpoint's answer: an access token, and a refresh token where one is due."""

    def __init__(self, settings: PlatformSettings, key: RSAKey) -> None:
        self.settings = settings
        self.key = key

    def __call__(
        self,
        *,
        grant_type: str,  # noqa: ARG002 - Authlib's signature
        client: Client,
        user: ResourceOwner | None,
        scope: str | None,
        expires_in: int | None,  # noqa: ARG002 - Authlib's signature
        include_refresh_token: bool,
    ) -> dict[str, Any]:
        """Scopes are cut to what the client, and the person's role at this moment, may have."""
        allowed = client.get_allowed_scope(scope)
        if allowed and user:
            allowed = scopes.cut_to_role(allowed, user.member.role)
        elif allowed:
            allowed = scopes.without_identity(allowed)  # there is no person whom it could tell of
        if not allowed:
            raise InvalidScopeError
        tenant = user.member.tenant if user else client.tenant
        if tenant is None and not scopes.OPERATOR_SCOPES.keys() >= set(scopes.split(allowed)):
            raise InvalidClientError("The client belongs to no tenant.")
        if tenant is not None:
            _refuse_closed(tenant)
        token = {
            "access_token": write_access_token(
                self.settings,
                self.key,
                subject=user.member.get_user_id() if user else client.client_id,
                client_id=client.client_id,
                tenant=tenant.slug if tenant else None,
                scope=allowed,
                grant=user.grant if user else None,
            ),
            "token_type": "Bearer",
            "expires_in": self.settings.access_token_lifetime,
            "scope": allowed,
        }
        if include_refresh_token:
            token["refresh_token"] = new_secret()
        return token


def _refuse_two_proofs(request: ProviderRequest) -> None:
    """RFC 6749, section 2.3: a client proves who it is in one way in each request."""
    proofs = (
        request.headers.get("Authorization"),
        request.form.get("client_secret"),
        request.form.get("client_assertion"),
    )
    if sum(map(bool, proofs)) > 1:
        raise InvalidRequestError("Authenticate the client in one way, not in several.")


def _refuse_contradictions(request: ProviderRequest, client: Client) -> None:
    """The proof is of one client and the form names another, or it failed and none was needed."""
    names_another = request.form.get("client_id", client.client_id) != client.client_id
    if names_another or (request.auth_method == "none" and request.headers.get("Authorization")):
        raise InvalidClientError


def _refuse_closed(tenant: Tenant) -> None:
    """`invalid_grant` with the reason: what the client holds stays good for when the tenant is open again."""
    if closed := why_closed(tenant):
        # RFC 6749, section 5.2: printable ASCII without quotes and backslashes.
        told = closed.detail.replace('"', "'").replace("\\", "/").encode("ascii", "replace").decode()
        raise InvalidGrantError(f"{told[:1].upper()}{told[1:]}")
