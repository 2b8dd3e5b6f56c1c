"""The provider's endpoints that browsers visit: authorization and sign-out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AccessDeniedError, OAuth2Error
from authlib.oidc.core.errors import AccountSelectionRequiredError, LoginRequiredError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from insula_platform.oauth.requests import Posted, ProviderRequest, Queried
from insula_platform.oauth.server import provider
from insula_platform.people import Member, memberships_of
from insula_platform.signin import forms, sessions
from insula_platform.signin.models import SigninSession
from insula_platform.signin.pages import error_page, page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.registry import why_closed

router = APIRouter(include_in_schema=False)

_LOGOUT_PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")


@router.get("/oauth/authorize")
def authorize(request: Request, platform: CurrentPlatform, asked: Queried) -> Response:
    """Send the browser back to the client with a code, after signing in and choosing a tenant if need be.

    Besides OAuth's parameters it takes `tenant`, the slug of the tenant to act in.
    """
    if not isinstance(asked, ProviderRequest):
        return _bad_request(platform, asked)
    with provider(platform) as server:
        session = sessions.find_session(server.core, platform.settings, request)
        server.signin = session
        try:
            grant = server.get_consent_grant(asked, end_user=session)
            parameters = asked.payload.data
            may_ask = parameters.get("prompt") != "none"
            if session is None or grant.prompt == "login" or _is_too_old(session, parameters):
                if not may_ask:
                    raise LoginRequiredError(redirect_uri=grant.redirect_uri)
                return RedirectResponse(_signin_url(parameters), 303)
            members = memberships_of(server.core, session.account_id)
            member = _chosen(members, parameters, grant.redirect_uri)
            if member is None or why_closed(member.tenant):
                if not may_ask:
                    raise AccountSelectionRequiredError(redirect_uri=grant.redirect_uri)
                return _chooser(platform, members, parameters)
        except OAuth2Error as error:
            error.state = asked.payload.state
            if not error.redirect_uri:
                return _bad_request(platform, error)
            return _with_issuer(platform, server.handle_error_response(asked, error))
        return _with_issuer(
            platform, server.create_authorization_response(asked, grant_user=member, grant=grant)
        )


@router.get("/oauth/logout")
def logout(request: Request, platform: CurrentPlatform, asked: Queried) -> Response:
    """Sign out at the wish of a client, or ask first when the client cannot prove whom it means."""
    return _logout(request, platform, asked)


@router.post("/oauth/logout")
def logout_by_form(request: Request, platform: CurrentPlatform, asked: Posted) -> Response:
    """The same by POST: the specification wants both, and so does our own question."""
    return _logout(request, platform, asked)


def _logout(request: Request, platform: Platform, asked: ProviderRequest | OAuth2Error) -> Response:
    if not isinstance(asked, ProviderRequest):
        return _bad_request(platform, asked)
    settings, parameters = platform.settings, asked.payload.data
    with provider(platform) as server:
        core = server.core
        try:
            wish = server.validate_endpoint_request("end_session", asked)
        except OAuth2Error as error:
            return _bad_request(platform, error)
        session = sessions.find_session(core, settings, request)
        proven = wish.id_token_claims and (
            session is None or wish.id_token_claims.get("sub") == str(session.account_id)
        )
        if not proven and session and not forms.is_own_form(settings, request, parameters.get("form_token")):
            secret = forms.form_secret(settings, request)
            question = page(
                settings,
                "sign_out.html",
                form_token=forms.form_token(settings, secret),
                parameters={name: parameters[name] for name in _LOGOUT_PARAMETERS if name in parameters},
            )
            sessions.set_cookie(question, settings, forms.COOKIE, secret, forms.LIFETIME)
            return question
        response: Response = (
            RedirectResponse(wish.redirect_uri, 303)
            if wish.redirect_uri
            else page(settings, "signed_out.html", ui_url=settings.ui_url)
        )
        sessions.end_session(core, settings, request, response)
        return response


def _is_too_old(session: SigninSession, parameters: Mapping[str, str]) -> bool:
    """Whether the client wants a fresher sign-in (`max_age`, in seconds)."""
    max_age = parameters.get("max_age", "")
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        return False
    return datetime.now(UTC) - session.auth_time > timedelta(seconds=int(max_age))


def _signin_url(parameters: Mapping[str, str]) -> str:
    # What asks for a fresh sign-in is left out: it is about to be given, and would be asked for for ever.
    prompts = [item for item in parameters.get("prompt", "").split() if item != "login"]
    rest = {name: value for name, value in parameters.items() if name not in {"prompt", "max_age"}}
    if prompts:
        rest["prompt"] = " ".join(prompts)
    return f"/signin?{urlencode({'return_to': f'/oauth/authorize?{urlencode(rest)}'})}"


def _chosen(members: list[Member], parameters: Mapping[str, str], redirect_uri: str) -> Member | None:
    """The tenant to act in, None when the person must choose; `AccessDeniedError` when there is none."""
    wanted = parameters.get("tenant")
    if wanted:
        members = [member for member in members if member.tenant.slug == wanted]
    if not members:
        raise AccessDeniedError("This account has no access to the tenant.", redirect_uri=redirect_uri)
    wants_to_choose = "select_account" in parameters.get("prompt", "").split()
    return members[0] if len(members) == 1 and (wanted or not wants_to_choose) else None


def _chooser(platform: Platform, members: list[Member], parameters: Mapping[str, str]) -> Response:
    rest = {name: value for name, value in parameters.items() if name != "prompt"}
    choices = [
        {
            "name": member.tenant.name,
            "role": member.role,
            "closed": closed.detail if (closed := why_closed(member.tenant)) else None,
            "url": f"/oauth/authorize?{urlencode(rest | {'tenant': member.tenant.slug})}",
        }
        for member in members
    ]
    return page(platform.settings, "tenants.html", email=members[0].account.email, choices=choices)


def _with_issuer(platform: Platform, response: Response) -> Response:
    """RFC 9207: say who answers, so that a client of several providers cannot be led astray."""
    location = response.headers.get("location")
    if location:
        response.headers["location"] = add_params_to_uri(location, {"iss": platform.settings.public_url})
        response.headers["cache-control"] = "no-store"
    return response


def _bad_request(platform: Platform, error: OAuth2Error) -> Response:
    """A page, never a redirect: the address to return to is not trusted."""
    return error_page(
        platform.settings,
        "This link does not work",
        error.get_error_description() or error.error,
        "Go back to the application you came from and try again. If it stays, tell its operator.",
        status=400,
    )
