"""The question whether a program may act for a person, and the page of those that may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from insula_platform.consents import service
from insula_platform.consents.words import in_words
from insula_platform.oauth import scopes
from insula_platform.oauth.models import Client
from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people import Account, Member
from insula_platform.signin import forms, sessions
from insula_platform.signin.pages import error_page, page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.audit import Actor
from insula_tenants.errors import NotFound

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.consents")

PATH = "/account/consents"


def question(
    request: Request,
    platform: Platform,
    client: Client,
    member: Member,
    *,
    wanted: list[str],
    had: list[str],
    parameters: Mapping[str, str],
) -> Response:
    """Ask whether `client` may have `wanted`, of which it may have `had` already.

    The form brings back the authorization request, and what was shown to whom: an answer counts for that.
    """
    added = [name for name in wanted if name not in had] if had else []
    return _form(
        request,
        platform,
        "consent.html",
        client=client.name,
        tenant=member.tenant.name,
        email=member.account.email,
        host=_place(parameters.get("redirect_uri", "")),
        stays="refresh_token" in client.grant_types,
        words=in_words(name for name in wanted if name not in added),
        added=in_words(added),
        asked=urlencode({name: value for name, value in parameters.items() if name != "tenant"}),
        account=str(member.account.id),
        tenant_slug=member.tenant.slug,
        scope=scopes.join(wanted),
    )


@router.get(PATH)
def list_page(request: Request, platform: CurrentPlatform) -> Response:
    """The programs that this person lets act for them."""
    with platform.databases.core() as core:
        session = sessions.find_session(core, platform.settings, request)
        if session is None:
            return RedirectResponse(f"/signin?{urlencode({'return_to': PATH})}", 303)
        consents = [
            {
                "client": consent.client.name,
                "client_id": consent.client_id,
                "tenant": consent.tenant.name,
                "tenant_id": str(consent.tenant_id),
                "words": in_words(scopes.split(consent.scope)),
                "given": f"{consent.granted_at:%Y-%m-%d}",
            }
            for consent in service.consents_of(core, session.account_id)
        ]
        email = core.get_one(Account, session.account_id).email
    return _form(request, platform, "consents.html", consents=consents, email=email)


@router.post(PATH)
def withdraw(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Take one of them back."""
    try:
        given = read_parameters(body or b"")
        tenant_id = UUID(given.get("tenant_id", ""))
    except (InvalidRequestError, ValueError):
        return error_page(
            platform.settings, "Not changed", "The form was damaged on its way.", "Try again.", status=400
        )
    if forms.is_own_form(platform.settings, request, given.get("form_token")):
        with platform.databases.core() as core:
            session = sessions.find_session(core, platform.settings, request)
            if session is not None:
                client_id = given.get("client_id", "")
                actor = acting_person(request, session.account_id)
                try:
                    service.withdraw_consent(core, session.account_id, client_id, tenant_id, actor=actor)
                    log.info("consent withdrawn", account=actor.id, client=client_id)
                except NotFound:
                    log.info("a consent was withdrawn already", account=actor.id)
    # Who had no session or an old form sees the page anew, and what is there.
    return RedirectResponse(PATH, 303)


def acting_person(request: Request, account_id: UUID) -> Actor:
    """The person at a form, as the audit log names them."""
    address = request.client.host if request.client else None
    return Actor(
        "person", str(account_id), address, structlog.contextvars.get_contextvars().get("request_id")
    )


def _place(redirect_uri: str) -> str:
    """Where an address leads, as far as a person can judge it."""
    parts = urlsplit(redirect_uri)
    return parts.netloc if parts.scheme == "https" else "a program on this machine"


def _form(request: Request, platform: Platform, template: str, **values: Any) -> Response:
    settings = platform.settings
    secret = forms.form_secret(settings, request)
    response = page(settings, template, form_token=forms.form_token(settings, secret), **values)
    sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
    return response
