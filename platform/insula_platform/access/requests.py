"""How API routes are protected.

::

    @router.get("/api/v1/tenants/{tenant}/devices", responses=PROBLEM_RESPONSES)
    async def devices(access: Annotated[Access, Requires("devices:read")]) -> …:
        async with platform.async_databases.tenant(access.context) as connection: …

The path's `{tenant}` must be the one the token is bound to. Any other is not found, whether it exists or not.
The registry is asked at each request, so that a suspension counts from the next one on. The same statement
brings the tenant's limits: what a token was good for is counted against its requests per minute, and metered.

The operator's routes are protected by `RequiresOperator("tenants:read")`. A token opens a tenant or the
operator's routes, never both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import Path, Request, Security
from fastapi.openapi.models import OAuthFlowAuthorizationCode, OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes

from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES, SCOPES
from insula_platform.oauth.tokens import AccessToken, InvalidToken, read_access_token
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.audit import Actor, ActorKind
from insula_tenants.context import TenantContext
from insula_tenants.errors import InsulaError, NotAllowed, NotFound
from insula_tenants.quotas import Quotas
from insula_tenants.registry import resolve_tenant_async


class NotAuthenticated(InsulaError):
    """A valid access token is needed."""

    status = 401
    type = "not-authenticated"

    def __init__(self, detail: str, challenge: str) -> None:
        """`challenge` is what RFC 6750 wants in `WWW-Authenticate`."""
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": challenge}


class InsufficientScope(NotAllowed):
    """The access token does not allow this."""

    type = "insufficient-scope"

    def __init__(self, needed: str) -> None:
        """`needed` lists the scopes the operation wants, space-separated."""
        super().__init__(f"this needs a token with the scope {needed}: ask for it, or for a role that has it")
        self.headers = {
            "WWW-Authenticate": f'Bearer realm="insula", error="insufficient_scope", scope="{needed}"'
        }


@dataclass(frozen=True, slots=True)
class Access:
    """Who acts, in which tenant, and what they may do there."""

    context: TenantContext
    subject: str
    """The account's id for a person, the client's id for a program."""
    client_id: str
    scopes: frozenset[str]
    expires_at: float
    """When the token does, in seconds since the epoch: for answers that last."""
    actor: Actor
    """The subject, as the audit log names it."""


@dataclass(frozen=True, slots=True)
class OperatorAccess:
    """Which of the operator's programs acts."""

    client_id: str
    actor: Actor
    """The same, as the audit log names it."""


class _Bearer(OAuth2):
    """The security scheme as OpenAPI shows it, and the bearer token of a request."""

    async def __call__(self, request: Request) -> str:  # type: ignore[override] # a browser's socket has none
        return bearer_token(request)


_bearer = _Bearer(
    scheme_name="OAuth2",
    description="Access tokens of this platform's own provider. A token is good for one tenant.",
    flows=OAuthFlows(
        authorizationCode=OAuthFlowAuthorizationCode(
            authorizationUrl="/oauth/authorize",
            tokenUrl="/oauth/token",
            refreshUrl="/oauth/token",
            scopes=SCOPES,
        ),
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl="/oauth/token", scopes=API_SCOPES | OPERATOR_SCOPES
        ),
    ),
)


def bearer_token(request: Request) -> str:
    """The token of the `Authorization` header; `NotAuthenticated` when there is none.

    Tokens in the query or the body are not read: they would end up in logs and caches.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(
            "send an access token in the header: Authorization: Bearer …", 'Bearer realm="insula"'
        )
    return token.strip()


async def authenticate(platform: Platform, token: str) -> AccessToken:
    """What a valid access token says; `NotAuthenticated` for any other."""
    try:
        return await read_access_token(platform.settings, platform.signing_keys, token)
    except InvalidToken as error:
        raise NotAuthenticated(
            f"{error}: get a new one from /oauth/token",
            f'Bearer realm="insula", error="invalid_token", error_description="{error}"',
        ) from None


async def _access(
    request: Request,
    platform: CurrentPlatform,
    token: Annotated[str, Security(_bearer)],
    tenant: Annotated[str, Path(description="The tenant's slug.", examples=["acme"])],
    needed: SecurityScopes,
) -> Access:
    says = await authenticate(platform, token)
    if tenant != says.tenant:
        # Word for word what the registry says of a tenant that does not exist.
        raise NotFound(f"there is no tenant {tenant!r}")
    if not says.scopes.issuperset(needed.scopes):
        raise InsufficientScope(needed.scope_str)
    platform.rate_limiter.refuse_exhausted(tenant, request.scope)
    async with platform.async_databases.core() as connection:
        context, limits = await resolve_tenant_async(connection, tenant)
    await platform.rate_limiter.count(tenant, Quotas.of(*limits).api_requests_per_minute, request.scope)
    platform.meter.count(context.id)
    kind: ActorKind = "client" if says.subject == says.client_id else "person"
    actor = Actor(kind, says.subject, *_origin(request))
    return Access(context, says.subject, says.client_id, says.scopes, says.expires_at, actor)


async def _operator_access(
    request: Request,
    platform: CurrentPlatform,
    token: Annotated[str, Security(_bearer)],
    needed: SecurityScopes,
) -> OperatorAccess:
    says = await authenticate(platform, token)
    if not says.scopes.issuperset(needed.scopes):
        raise InsufficientScope(needed.scope_str)
    return OperatorAccess(says.client_id, Actor("operator", says.client_id, *_origin(request)))


def _origin(request: Request) -> tuple[str | None, str | None]:
    """Where the request came from, and its id."""
    address = request.client.host if request.client else None
    return address, structlog.contextvars.get_contextvars().get("request_id")


def RequiresOperator(*scopes: str) -> Any:  # noqa: N802 - reads like FastAPI's Depends, and is as untyped
    """A dependency that gives `OperatorAccess` to bearers of a token with all these of the operator's scopes.

    Answers 401 without a valid token, 403 when a scope is missing: a tenant's token never has one.
    """
    _known(scopes, OPERATOR_SCOPES)
    return Security(_operator_access, scopes=list(scopes))


def Requires(*scopes: str) -> Any:  # noqa: N802 - reads like FastAPI's Depends, and is as untyped
    """A dependency that gives `Access` to bearers of a token with all these scopes.

    The route's path must have a `{tenant}`. Answers 401 without a valid token, 404 for another tenant than
    the token's, 403 when a scope is missing.
    """
    _known(scopes, API_SCOPES)
    return Security(_access, scopes=list(scopes))


def _known(scopes: tuple[str, ...], known: Mapping[str, str]) -> None:
    unknown = set(scopes) - known.keys()
    if unknown or not scopes:
        raise ValueError(f"no such scope: {', '.join(sorted(unknown)) or 'none is given'}")
