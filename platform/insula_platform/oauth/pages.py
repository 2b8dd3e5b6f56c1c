"""The provider's endpoints that browsers visit: authorization and sign-out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError, OAuth2Error
from authlib.oidc.core.errors import (
    AccountSelectionRequiredError,
    ConsentRequiredError,
    LoginRequiredError,
)
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from insula_platform.consents import service as consents
from insula_platform.consents.pages import acting_person, question
from insula_platform.federation import enforcement
from insula_platform.oauth import scopes
from insula_platform.oauth.grants import CodeGrant, granted_scope
from insula_platform.oauth.models import Client
from insula_platform.oauth.requests import FormBody, Posted, ProviderRequest, Queried, read_parameters
from insula_platform.oauth.server import Provider, provider
from insula_platform.people import Member
from insula_platform.signin import forms, sessions
from insula_platform.signin.models import SigninSession
from insula_platform.signin.pages import error_page, page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.registry import why_closed

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.consents")

_LOGOUT_PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")


@router.get("/oauth/authorize")
def authorize(request: Request, platform: CurrentPlatform, asked: Queried) -> Response:
    """Send the browser back to the client with a code, after signing in and choosing a tenant if need be.

    Besides OAuth's parameters it takes `tenant`, the slug of the tenant to act in.
    """
    if not isinstance(asked, ProviderRequest):
        return _bad_request(platform, asked)
    with provider(platform) as server:
        session = sessions.find_session(server.core, platform.settings, request, of_a_tenant=True)
        server.signin = session
        try:
            grant = server.get_consent_grant(asked, end_user=session)
            member = _present(platform, server, asked, session, grant)
            if isinstance(member, Response):
                return member
            if unanswered := _consent_question(request, platform, server, asked, member):
                return unanswered
            enforcement.note_bypass(server.core, session, member)
        except OAuth2Error as error:
            return _refused(request, platform, server, asked, error)
        answer = server.create_authorization_response(asked, grant_user=member, grant=grant)
        return _leave(request, platform, asked.client, answer)


@router.post("/oauth/consent")
def consent(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """The person's answer to the question whether a client may act for them.

    Allowed, the authorization request is taken up again, and finds the consent. An answer to what was not
    shown to this person, or is not what would be shown now, is none: the question comes again.
    """
    try:
        given = read_parameters(body or b"")
        parameters = read_parameters(given.get("request", "").encode())
    except InvalidRequestError as error:
        return _bad_request(platform, error)
    if tenant := given.get("tenant"):
        parameters["tenant"] = tenant
    asked = ProviderRequest("GET", f"{platform.settings.public_url}/oauth/authorize", {}, parameters)
    own_form = forms.is_own_form(platform.settings, request, given.get("form_token"))
    with provider(platform) as server:
        session = None
        if own_form:
            session = sessions.find_session(server.core, platform.settings, request, of_a_tenant=True)
        try:
            grant = server.get_consent_grant(asked, end_user=session)
            member = _answering(server, asked, session, given, grant)
            if member is not None and given.get("decision") != "allow":
                raise AccessDeniedError("The person did not allow it.", redirect_uri=grant.redirect_uri)
        except OAuth2Error as error:
            return _refused(request, platform, server, asked, error)
        if session is None or member is None:
            return RedirectResponse(f"/oauth/authorize?{urlencode(parameters)}", 303)
        actor = acting_person(request, session.account_id)
        consents.give_consent(server.core, asked.client, member, _wanted(asked, member), actor=actor)
        log.info("consent given", account=actor.id, client=asked.client.client_id)
    rest = _without_prompts(parameters, "consent", "select_account")
    return RedirectResponse(f"/oauth/authorize?{urlencode(rest)}", 303)


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
        session = sessions.find_session(core, settings, request, of_a_tenant=True)
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
            else page(settings, "signed_out.html")
        )
        sessions.end_session(core, settings, request, response)
        return response


def _present(
    platform: Platform,
    server: Provider,
    asked: ProviderRequest,
    session: SigninSession | None,
    grant: CodeGrant,
) -> Member | Response:
    """Who is there, in the tenant they act in; or the page that finds it out."""
    parameters = asked.payload.data
    may_ask = parameters.get("prompt") != "none"
    if (
        session is None
        or grant.prompt == "login"
        or _is_too_old(session, parameters)
        or not enforcement.is_in_reach(server.core, session, parameters.get("tenant"))
    ):
        if not may_ask:
            raise LoginRequiredError(redirect_uri=grant.redirect_uri)
        return RedirectResponse(_signin_url(parameters), 303)
    members = _members(server, asked, session)
    member = _chosen(members, parameters, grant.redirect_uri)
    if member is None or why_closed(member.tenant):
        if not may_ask:
            raise AccountSelectionRequiredError(redirect_uri=grant.redirect_uri)
        return _chooser(platform, members, parameters)
    if not enforcement.opens(server.core, session, member):
        if not may_ask:
            raise LoginRequiredError(redirect_uri=grant.redirect_uri)
        return _elsewhere(platform, member, parameters)
    return member


def _answering(
    server: Provider,
    asked: ProviderRequest,
    session: SigninSession | None,
    given: Mapping[str, str],
    grant: CodeGrant,
) -> Member | None:
    """Who answers the question for consent; None when its person, or its scopes, were others."""
    if session is None or str(session.account_id) != given.get("account"):
        return None
    member = _chosen(_members(server, asked, session), asked.payload.data, grant.redirect_uri)
    is_what_was_asked = member and _wanted(asked, member) == scopes.split(given.get("scope"))
    return member if is_what_was_asked else None


def _members(server: Provider, asked: ProviderRequest, session: SigninSession) -> list[Member]:
    """The person's tenants that this client may be used with: a tenant's own client, with that one alone."""
    members = enforcement.members_of(server.core, session)
    only: UUID | None = asked.client.tenant_id
    return [member for member in members if only in {None, member.tenant.id}]


def _consent_question(
    request: Request, platform: Platform, server: Provider, asked: ProviderRequest, member: Member
) -> Response | None:
    """The page that asks for consent, where it is needed; `ConsentRequiredError` where no page may be."""
    client, parameters = asked.client, asked.payload.data
    wanted = _wanted(asked, member)
    if client.first_party or not wanted:
        return None  # nothing is wanted that the role allows: the grant says so
    had = consents.consented_scope(server.core, client, member)
    prompts = parameters.get("prompt", "").split()
    if set(wanted) <= set(had) and "consent" not in prompts:
        return None
    if "none" in prompts:
        raise ConsentRequiredError(redirect_uri=parameters["redirect_uri"])
    return question(request, platform, client, member, wanted=wanted, had=had, parameters=parameters)


def _wanted(asked: ProviderRequest, member: Member) -> list[str]:
    return scopes.split(granted_scope(asked.client, asked.scope, member))


def _is_too_old(session: SigninSession, parameters: Mapping[str, str]) -> bool:
    """Whether the client wants a fresher sign-in (`max_age`, in seconds)."""
    max_age = parameters.get("max_age", "")
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        return False
    return datetime.now(UTC) - session.auth_time > timedelta(seconds=int(max_age))


def _signin_url(parameters: Mapping[str, str]) -> str:
    # What asks for a fresh sign-in is left out: it is about to be given, and would be asked for for ever.
    rest = _without_prompts(parameters, "login")
    rest.pop("max_age", None)
    return f"/signin?{urlencode({'return_to': f'/oauth/authorize?{urlencode(rest)}'})}"


def _without_prompts(parameters: Mapping[str, str], *answered: str) -> dict[str, str]:
    rest = {name: value for name, value in parameters.items() if name != "prompt"}
    prompts = [item for item in parameters.get("prompt", "").split() if item not in answered]
    return rest | ({"prompt": " ".join(prompts)} if prompts else {})


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
    rest = _without_prompts(parameters, "select_account")
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


def _elsewhere(platform: Platform, member: Member, parameters: Mapping[str, str]) -> Response:
    """The tenant wants its people to come by its own identity provider."""
    rest = _without_prompts(parameters, "login", "select_account") | {"tenant": member.tenant.slug}
    rest.pop("max_age", None)
    back = urlencode({"return_to": f"/oauth/authorize?{urlencode(rest)}"})
    return page(
        platform.settings,
        "sso_required.html",
        status=403,
        tenant=member.tenant.name,
        url=f"/signin/sso/{member.tenant.slug}?{back}",
    )


def _refused(
    request: Request, platform: Platform, server: Provider, asked: ProviderRequest, error: OAuth2Error
) -> Response:
    """The error, told to the client where its address is known to be its own."""
    error.state = asked.payload.state
    if not error.redirect_uri:
        return _bad_request(platform, error)
    return _leave(request, platform, asked.client, server.handle_error_response(asked, error))


def _leave(request: Request, platform: Platform, client: Client, response: Response) -> Response:
    """Send the browser back to the client. RFC 9207: say who answers, so that it cannot be led astray."""
    location = response.headers.get("location")
    if not location:
        return response
    location = add_params_to_uri(location, {"iss": platform.settings.public_url})
    # Chromium holds redirects after a form against the form-action of its page, which cannot list the
    # addresses of all clients. So who comes from a page of ours is sent on by a page of ours.
    if request.headers.get("sec-fetch-site") == "same-origin" and not client.first_party:
        return page(platform.settings, "leaving.html", client=client.name, url=location)
    response.headers["location"] = location
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
