"""The provider's endpoints that programs call: token, userinfo, revocation, keys, discovery.

Their errors have the form OAuth gives them (RFC 6749, section 5.2), not that of problem details.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from anyio import to_thread
from authlib.oauth2.rfc6749 import OAuth2Error
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from insula_platform.access import InsufficientScope, NotAuthenticated, authenticate, bearer_token
from insula_platform.oauth.grants import user_claims
from insula_platform.oauth.keys import JWKS_MAX_AGE
from insula_platform.oauth.metadata import metadata
from insula_platform.oauth.requests import Posted, ProviderRequest
from insula_platform.oauth.rotation import retired_keys
from insula_platform.oauth.server import provider
from insula_platform.oauth.tokens import AccessToken
from insula_platform.people import memberships_of
from insula_platform.state import CurrentPlatform, Platform

router = APIRouter(include_in_schema=False)


@router.get("/.well-known/openid-configuration")
@router.get("/.well-known/oauth-authorization-server")
def discovery(platform: CurrentPlatform) -> dict[str, Any]:
    """What the provider can do and where."""
    return metadata(platform.settings.public_url)


@router.get("/oauth/jwks.json")
def jwks(platform: CurrentPlatform) -> JSONResponse:
    """The public keys that verify tokens."""
    keys = dict(platform.signing_keys.public().as_dict(private=False))
    return JSONResponse(keys, headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"})


@router.get("/oauth/retired-keys.json")
def retired_jwks(platform: CurrentPlatform) -> JSONResponse:
    """The public keys that verified tokens once: for receipts of erasures, which are kept."""
    with platform.databases.core() as core:
        keys = retired_keys(core)
    return JSONResponse({"keys": keys}, headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"})


@router.post("/oauth/token")
def token(platform: CurrentPlatform, asked: Posted) -> Response:
    """Redeem a code, refresh, or act as a service client."""
    if not isinstance(asked, ProviderRequest):
        return _refusal(asked)
    # Authlib answers errors with a response: the transaction commits, and with it the end of a stolen grant.
    with provider(platform) as server:
        answer: Response = server.create_token_response(asked)
    return answer


@router.post("/oauth/revoke")
def revoke(platform: CurrentPlatform, asked: Posted) -> Response:
    """Revoke a refresh token and all that descends from the same sign-in (RFC 7009)."""
    if not isinstance(asked, ProviderRequest):
        return _refusal(asked)
    with provider(platform) as server:
        answer: Response = server.create_endpoint_response("revocation", asked)
    return answer


@router.api_route("/oauth/userinfo", methods=["GET", "POST"])
async def userinfo(request: Request, platform: CurrentPlatform) -> JSONResponse:
    """Who the bearer of an access token is, as far as its scopes tell."""
    says = await authenticate(platform, bearer_token(request))
    if "openid" not in says.scopes:
        raise InsufficientScope("openid")
    claims = await to_thread.run_sync(_claims, platform, says)
    if claims is None:
        raise NotAuthenticated(
            "the person no longer belongs to the tenant", 'Bearer realm="insula", error="invalid_token"'
        )
    return JSONResponse(claims, headers={"Cache-Control": "no-store"})


def _claims(platform: Platform, says: AccessToken) -> dict[str, Any] | None:
    with platform.databases.core() as core:
        members = memberships_of(core, UUID(says.subject))
        member = next((member for member in members if member.tenant.slug == says.tenant), None)
        return user_claims(member, says.scopes) if member else None


def _refusal(error: OAuth2Error) -> Response:
    status, body, headers = error()
    return JSONResponse(body, status, dict(headers))
