"""The pages of single sign-on: who are you, off to your provider, and back.

`/signin/sso` asks for the address and finds the tenant by its domain, which is public; whether there is an
account plays no part. `/signin/sso/{slug}` is for links of a tenant's own.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.federation import admission, attempts, claims
from insula_platform.federation.attempts import Remembered
from insula_platform.federation.domains import domain_of, tenant_of_domain
from insula_platform.federation.errors import SignInRefused
from insula_platform.federation.models import IdentityProvider
from insula_platform.federation.outbound import ProviderUnreachable
from insula_platform.federation.provider import Registration
from insula_platform.federation.service import find_provider, registration
from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people.service import normal_email
from insula_platform.signin import forms, sessions
from insula_platform.signin.pages import error_page, page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import InsulaError, NotFound, TenantClosed
from insula_tenants.registry import Tenant, resolve_tenant, why_closed

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.federation")

_NOBODYS = "No organisation has set up single sign-on for this address. Sign in with your password instead."
_CHANGED = "Your organisation has changed its provider meanwhile: try again."
_OLD_FORM = "This page had expired. Please try again."
_TOO_MANY = "Too many attempts. Try again in {} min."


@router.get("/signin/sso")
def ask(request: Request, platform: CurrentPlatform, return_to: str = "") -> Response:
    """Ask for the e-mail address."""
    return _form(request, platform, return_to)


@router.post("/signin/sso")
def answer(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Find the provider by the address's domain, and lead on to it."""
    try:
        given = read_parameters(body or b"")
    except InvalidRequestError:
        return error_page(
            platform.settings, "Sign-in failed", "The form was damaged on its way.", "Try again.", status=400
        )
    return_to, email = given.get("return_to", ""), normal_email(given.get("email", ""))
    if not forms.is_own_form(platform.settings, request, given.get("form_token")):
        return _form(request, platform, return_to, email=email, message=_OLD_FORM, status=403)
    domain = domain_of(email)
    with platform.databases.core() as core:
        slug = _slug_of(core, domain) if domain else None
    if slug is None:
        return _form(request, platform, return_to, email=email, message=_NOBODYS, status=404)
    return _begin(platform, slug, return_to, email)


@router.get("/signin/sso/{slug}")
def begin(platform: CurrentPlatform, slug: str, return_to: str = "") -> Response:
    """Lead on to the provider of this tenant."""
    return _begin(platform, slug, return_to, None)


@router.get("/signin/sso/{slug}/callback")
def callback(request: Request, platform: CurrentPlatform, slug: str) -> Response:
    """Back from the provider: check the answer, and start a session that is good for this tenant."""
    address = sessions.address_of(request)
    if wait := platform.throttle.wait(address):
        return _failed(platform, _TOO_MANY.format(-(-wait // 60)), status=429, retry_after=wait)
    try:
        given = read_parameters(request.scope["query_string"])
        remembered = attempts.recall(request, platform.settings, slug, given.get("state", ""))
    except (InvalidRequestError, SignInRefused) as error:
        platform.throttle.failed(address)
        detail = error.detail if isinstance(error, SignInRefused) else "The provider's answer was damaged."
        return _failed(platform, detail)
    try:
        response = _finish(request, platform, remembered, given)
    except InsulaError as error:
        platform.throttle.failed(address)
        _note(platform, slug, address, error)
        response = _refused(platform, slug, error)
    attempts.forget(response, platform.settings, remembered.attempt.state)
    return response


def _begin(platform: Platform, slug: str, return_to: str, email: str | None) -> Response:
    """A page that leads on. It is no redirect: a form may not end at a provider (form-action)."""
    try:
        with platform.databases.core() as core:
            tenant = resolve_tenant(core, slug)
            registered = registration(platform.settings, find_provider(core, tenant), slug)
            name = core.get_one(Tenant, tenant.id).name
        remembered = attempts.begin(slug, registered.issuer, forms.own_return_to(return_to) or "")
        url = platform.federation.providers.authorization_url(
            registered, remembered.attempt, login_hint=email
        )
    except (NotFound, TenantClosed):
        return error_page(
            platform.settings,
            "No single sign-on here",
            "This link leads to no organisation that has set up single sign-on.",
            "Sign in with your password, or ask whoever gave you the link.",
            status=404,
        )
    except ProviderUnreachable as error:
        log.warning("identity provider unreachable", tenant=slug, why=error.detail)
        return _refused(platform, slug, error)
    response = page(
        platform.settings, "sso_continue.html", tenant=name, url=url, host=urlsplit(url).hostname or ""
    )
    attempts.remember(response, platform.settings, remembered)
    return response


def _finish(request: Request, platform: Platform, remembered: Remembered, given: dict[str, str]) -> Response:
    settings, providers = platform.settings, platform.federation.providers
    with platform.databases.core() as core:
        tenant = resolve_tenant(core, remembered.slug)
        provider = find_provider(core, tenant)
        registered, rules = registration(settings, provider, remembered.slug), admission.rules_of(provider)
    if registered.issuer != remembered.issuer:
        raise SignInRefused("wrong-issuer", _CHANGED)
    # No connection is held while the provider is asked.
    code = providers.check_callback(registered, given)
    told = providers.exchange(registered, remembered.attempt, code)
    said = told.claims
    if claims.are_missing(said, rules):
        said = {**providers.userinfo(registered, told), **said}
    with platform.databases.core() as core:
        return _sign_in(core, request, platform, tenant, registered, remembered, said)


def _sign_in(
    core: Session,
    request: Request,
    platform: Platform,
    tenant: TenantContext,
    registered: Registration,
    remembered: Remembered,
    said: dict[str, Any],
) -> Response:
    # Locked: of two first sign-ins of one person, the second finds what the first has made.
    provider = find_provider(core, tenant, for_update=True)
    if provider.issuer != registered.issuer:
        raise SignInRefused("wrong-issuer", _CHANGED)
    admission.use_once(core, remembered.attempt.state, attempts.LIFETIME)
    actor = Actor("system", "sso", sessions.address_of(request), _request_id())
    account = admission.admit_by_claims(core, tenant, provider, said, actor=actor)
    response = RedirectResponse(remembered.return_to or platform.settings.ui_url, 303)
    sessions.start_session(
        core, platform.settings, request, response, account, amr=["fed"], tenant_id=tenant.id
    )
    person = Actor("person", str(account.id), actor.address, actor.request_id)
    audit.record(core, person, "sso.signed_in", tenant=tenant.id, target=account.email)
    log.info("signed in", account=str(account.id), tenant=tenant.slug)
    return response


def _slug_of(core: Session, domain: str) -> str | None:
    tenant_id = tenant_of_domain(core, domain)
    query = select(Tenant).join(IdentityProvider, IdentityProvider.tenant_id == Tenant.id)
    tenant = core.scalar(query.where(Tenant.id == tenant_id)) if tenant_id else None
    return tenant.slug if tenant is not None and why_closed(tenant) is None else None


def _note(platform: Platform, slug: str, address: str, error: InsulaError) -> None:
    """Keep in the tenant's audit log why somebody did not come in: names of claims, never their values."""
    told = (
        error.told() if isinstance(error, SignInRefused) else {"reason": error.type, "detail": error.detail}
    )
    log.warning("single sign-on refused", tenant=slug, reason=told["reason"])
    with platform.databases.core() as core:
        tenant = core.scalar(select(Tenant).where(Tenant.slug == slug))
        if tenant is not None:
            actor = Actor("system", "sso", address, _request_id())
            audit.record(core, actor, "sso.refused", tenant=tenant.id, target=slug, detail=told)


def _refused(platform: Platform, slug: str, error: InsulaError) -> Response:
    refused = error if isinstance(error, SignInRefused) else None
    return page(
        platform.settings,
        "sso_refused.html",
        status=error.status,
        detail=error.detail,
        claim=refused.claim if refused else None,
        received=refused.received if refused else None,
        slug=slug,
    )


def _failed(
    platform: Platform, detail: str, *, status: int = 403, retry_after: int | None = None
) -> Response:
    response = error_page(
        platform.settings, "Not signed in", detail, "Begin again from where you wanted to go.", status=status
    )
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _form(
    request: Request,
    platform: Platform,
    return_to: str,
    *,
    email: str = "",
    message: str = "",
    status: int = 200,
) -> Response:
    settings = platform.settings
    secret = forms.form_secret(settings, request)
    response = page(
        settings,
        "sso.html",
        status=status,
        form_token=forms.form_token(settings, secret),
        return_to=forms.own_return_to(return_to) or "",
        email=email,
        message=message,
    )
    sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
    return response


def _request_id() -> str | None:
    return structlog.contextvars.get_contextvars().get("request_id")
