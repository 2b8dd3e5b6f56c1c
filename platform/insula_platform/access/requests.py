"""How API routes are protected.

::

    @router.get("/api/v1/tenants/{tenant}/devices", responses=PROBLEM_RESPONSES)
    async def devices(access: Annotated[Access, Requires("devices:read")]) -> …:
        async with platform.async_databases.tenant(access.context) as connection: …

The path's `{tenant}` must be the one the token is bound to. Any other is not found, whether it exists or not.
The registry is asked at each request, so that a suspension counts from the next one on, and so does whatever
happens to the bearer: see `insula_tenants.registry.bearers`. The same statement brings the tenant's limits:
what a token was good for is counted against its requests per minute, and metered.

The operator's routes are protected by `RequiresOperator("tenants:read")`. A token opens a tenant or the
operator's routes, never both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Path, Request, Security
from fastapi.openapi.models import OAuthFlowAuthorizationCode, OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes

from insula_platform.access.keys import PREFIX, is_key
from insula_platform.access.policy import SomewhereIn, Subject, actions_of, can
from insula_platform.oauth.models import fingerprint
from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES, SCOPES, split
from insula_platform.oauth.tokens import AccessToken, InvalidToken, read_access_token
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.audit import Actor, ActorKind
from insula_tenants.context import TenantContext
from insula_tenants.errors import InsulaError, NotAllowed, NotFound
from insula_tenants.quotas import Quotas
from insula_tenants.registry import (
    Bearer,
    KeyBearer,
    NoLongerGood,
    Person,
    Program,
    ResolvedBearer,
    resolve_operator_async,
    resolve_tenant_async,
)
from insula_tenants.spaces import Places


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
    """The account's id for a person, the client's id for a program, the key's id for whoever shows one."""
    client_id: str
    """The client through which they act; the key's id for whoever shows one."""
    scopes: frozenset[str]
    """What is left of what was granted, by the role of this moment: see `actions_of`."""
    expires_at: float
    """When token or key does, in seconds since the epoch: for answers that last."""
    actor: Actor
    """The subject, as the audit log names it."""
    role: str | None
    """The person's, or of who made the key; None for a program that acts for itself."""
    places: tuple[Places, ...]
    """The grant covers what stands in all of these; none for the whole tenant."""
    needed: tuple[str, ...]
    """The scopes that the route wants."""
    bearer: Bearer
    """Whom to ask the registry about again, for answers that last."""
    granted: frozenset[str] | None
    """What the token says; None for a key, which says nothing: the registry does."""

    @property
    def account(self) -> UUID | None:
        """The person who acts; None for a program, with a key or without."""
        return self.bearer.account if isinstance(self.bearer, Person) else None


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
    description="Access tokens of this platform's own provider, or API keys of a tenant "
    f"(`Authorization: Bearer {PREFIX}…`). Either is good for one tenant.",
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
    """What a valid access token says; `NotAuthenticated` for any other.

    Whether it was called back, and whether its bearer still is who it says, only the registry knows.
    """
    found = platform.verified.recall(token, platform.signing_keys)
    if found is not None:
        return found
    try:
        says = await read_access_token(platform.settings, platform.signing_keys, token)
    except InvalidToken as error:
        raise _invalid(str(error)) from None
    platform.verified.remember(token, says)
    return says


def effective(granted: frozenset[str] | None, found: ResolvedBearer) -> frozenset[str]:
    """What a bearer may do, by what was granted and what the registry says of them."""
    bound = frozenset(split(found.scope)) if found.scope is not None else granted
    within = frozenset() if bound is None else bound if granted is None else bound & granted
    return actions_of(within, found.role, within_places=bool(found.places))


async def _access(
    request: Request,
    platform: CurrentPlatform,
    token: Annotated[str, Security(_bearer)],
    tenant: Annotated[str, Path(description="The tenant's slug.", examples=["acme"])],
    needed: SecurityScopes,
) -> Access:
    says = None if is_key(token) else await authenticate(platform, token)
    if says is not None:
        if tenant != says.tenant:
            # Word for word what the registry says of a tenant that does not exist.
            raise NotFound(f"there is no tenant {tenant!r}")
        if not says.scopes.issuperset(needed.scopes):
            raise InsufficientScope(needed.scope_str)
        platform.rate_limiter.refuse_exhausted(tenant, request.scope)
    bearer = bearer_of(says) if says is not None else KeyBearer(fingerprint(token))
    async with platform.async_databases.core() as connection:
        try:
            found = await resolve_tenant_async(connection, tenant, bearer)
        except NoLongerGood as over:
            raise _invalid(over.detail) from None
    access = _shown(request, found, bearer, says, tuple(needed.scopes))
    subject = Subject(found.context.id, access.scopes, None)
    if not all(can(subject, action, SomewhereIn(found.context.id)) for action in needed.scopes):
        raise InsufficientScope(needed.scope_str)
    if says is None:  # only now it is known whose requests the key's bearer would use up
        platform.rate_limiter.refuse_exhausted(tenant, request.scope)
    limit = Quotas.of(*found.limits).api_requests_per_minute
    await platform.rate_limiter.count(tenant, limit, request.scope)
    platform.meter.count(found.context.id)
    return access


def bearer_of(says: AccessToken) -> Bearer:
    """Whom a token speaks for; `NotAuthenticated` when it names nobody there could be."""
    if says.subject == says.client_id:
        return Program(says.client_id, says.id)
    try:
        return Person(UUID(says.subject), says.client_id, says.grant_id, says.id)
    except ValueError:
        raise _invalid("the token names no person") from None


def _shown(
    request: Request,
    found: ResolvedBearer,
    bearer: Bearer,
    says: AccessToken | None,
    needed: tuple[str, ...],
) -> Access:
    kind: ActorKind = "person" if isinstance(bearer, Person) else "client" if says is not None else "key"
    subject = says.subject if says is not None else str(found.key_id)
    expires = says.expires_at if says is not None else found.expires_at
    assert expires is not None  # noqa: S101 - the registry tells it of every key
    granted = says.scopes if says is not None else None
    return Access(
        context=found.context,
        subject=subject,
        client_id=says.client_id if says is not None else subject,
        scopes=effective(granted, found),
        expires_at=expires,
        actor=Actor(kind, subject, *_origin(request)),
        role=found.role,
        places=found.places,
        needed=needed,
        bearer=bearer,
        granted=granted,
    )


async def _operator_access(
    request: Request,
    platform: CurrentPlatform,
    token: Annotated[str, Security(_bearer)],
    needed: SecurityScopes,
) -> OperatorAccess:
    if is_key(token):
        raise InsufficientScope(needed.scope_str)  # whosever it is: it opens a tenant
    says = await authenticate(platform, token)
    if not says.scopes.issuperset(needed.scopes):
        raise InsufficientScope(needed.scope_str)
    async with platform.async_databases.core() as connection:
        try:
            scope = await resolve_operator_async(connection, says.client_id, says.id)
        except NoLongerGood as over:
            raise _invalid(over.detail) from None
    if not frozenset(split(scope)).issuperset(needed.scopes):
        raise InsufficientScope(needed.scope_str)
    return OperatorAccess(says.client_id, Actor("operator", says.client_id, *_origin(request)))


def _invalid(why: str) -> NotAuthenticated:
    return NotAuthenticated(
        f"{why}: get a new one from /oauth/token",
        f'Bearer realm="insula", error="invalid_token", error_description="{why}"',
    )


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
