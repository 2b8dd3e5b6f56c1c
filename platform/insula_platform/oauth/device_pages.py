"""Where people decide on a device that shows a code: RFC 8628, section 3.3.

Only who is signed in may try a code, and wrong ones are braked for account and address, so that nobody comes
upon the code of somebody else's device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from insula_platform.consents.service import give_consent
from insula_platform.federation import enforcement
from insula_platform.oauth import device, scopes
from insula_platform.oauth.models import DeviceCode
from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people import Member
from insula_platform.signin import forms, sessions
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.models import SigninSession
from insula_platform.signin.pages import error_page, page
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.registry import why_closed

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.oauth")

_OLD_FORM = "This page had expired. Please try again."
_WRONG = "This code is wrong, or it has expired. Look at your device: it may show a new one by now."
_TOO_MANY = "Too many wrong codes. Try again in {} min."


@dataclass(frozen=True, slots=True)
class _Visit:
    """A person before the page, and what they typed."""

    platform: Platform
    core: Session
    request: Request
    signin: SigninSession
    given: dict[str, str]

    @property
    def address(self) -> str:
        return sessions.address_of(self.request)

    @property
    def user_code(self) -> str:
        return device.shown(self.given.get("user_code", ""))


@router.get("/device")
def device_form(request: Request, platform: CurrentPlatform, user_code: str = "") -> Response:
    """The page that devices send people to. A code in the address saves typing, and nothing else."""
    with platform.databases.core() as core:
        signin = sessions.find_session(core, platform.settings, request, of_a_tenant=True)
        if signin is None:
            return _to_signin(user_code)
        return _code_form(_Visit(platform, core, request, signin, {"user_code": user_code}))


@router.post("/device")
def device_code(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Show what the device asks for, and let the person choose the tenant if there are several."""
    return _with_form(request, platform, body, decides=False)


@router.post("/device/decision")
def device_decision(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Do as the person decided."""
    return _with_form(request, platform, body, decides=True)


def _with_form(request: Request, platform: Platform, body: bytes | None, *, decides: bool) -> Response:
    try:
        given = read_parameters(body or b"")
    except InvalidRequestError:
        return error_page(
            platform.settings, "That failed", "The form was damaged on its way.", "Try again.", status=400
        )
    with platform.databases.core() as core:
        counted = _count(platform, core, request, given)
        if isinstance(counted, Response):
            return counted
    with platform.databases.core() as core:
        signin = sessions.find_session(core, platform.settings, request, of_a_tenant=True)
        if signin is None:
            return _to_signin(given.get("user_code", ""))
        visit = _Visit(platform, core, request, signin, given)
        asked = device.find_pending(core, platform.settings.secret_key, visit.user_code)
        if asked is None:
            return _code_form(visit, message=_WRONG, status=404)
        counted.take_back(core)  # it forgives no wrong ones: who guesses has right codes of their own
        return _of_member(visit, asked, decides=decides)


def _count(platform: Platform, core: Session, request: Request, given: dict[str, str]) -> Attempt | Response:
    """Count a try at a code, or say why it is not heard."""
    signin = sessions.find_session(core, platform.settings, request, of_a_tenant=True)
    if signin is None:
        return _to_signin(given.get("user_code", ""))
    visit = _Visit(platform, core, request, signin, given)
    if not forms.is_own_form(platform.settings, request, given.get("form_token")):
        return _code_form(visit, message=_OLD_FORM, status=403)
    # Under a name of its own: wrong codes have nothing to do with wrong passwords.
    attempt = Attempt(platform.settings, request, f"device codes {signin.account_id}")
    if wait := attempt.count(core):
        log.warning("device codes throttled", account=str(signin.account_id), address=visit.address)
        return _code_form(visit, message=_TOO_MANY.format(-(-wait // 60)), status=429, retry_after=wait)
    return attempt


def _of_member(visit: _Visit, asked: DeviceCode, *, decides: bool) -> Response:
    members = [
        member
        for member in enforcement.open_members(visit.core, visit.signin)
        if why_closed(member.tenant) is None and asked.client.tenant_id in {None, member.tenant.id}
    ]
    wanted = visit.given.get("tenant") or asked.tenant
    member = next((member for member in members if member.tenant.slug == wanted), None)
    if member is None and len(members) == 1 and not decides:
        (member,) = members
    settings = visit.platform.settings
    if not members:
        return error_page(
            settings,
            "There is nothing to connect to",
            "This account belongs to no tenant that is open.",
            "Ask an owner of the tenant to invite you.",
            status=403,
        )
    if member is None:
        return _page(visit, "device_tenants.html", client=asked.client.name, members=members)
    scope = scopes.cut_to_role(asked.scope, member.role)
    # Somebody else may have signed in, in this browser, since the page was shown.
    if not decides or visit.given.get("account") != str(visit.signin.account_id):
        return _consent(visit, asked, member, scope)
    return _decide(visit, asked, member, scope)


def _consent(visit: _Visit, asked: DeviceCode, member: Member, scope: str) -> Response:
    granted = scopes.split(scope)
    return _page(
        visit,
        "device_consent.html",
        client=asked.client.name,
        tenant=member.tenant,
        role=member.role,
        email=member.account.email,
        account=member.account.id,
        scopes=[scopes.SCOPES[name] for name in granted],
        address=asked.address or "an unknown address",
        asked_at=asked.created_at,
    )


def _decide(visit: _Visit, asked: DeviceCode, member: Member, scope: str) -> Response:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    actor = Actor("person", str(visit.signin.account_id), visit.address, request_id)
    allowed = visit.given.get("decision") == "allow" and bool(scope)
    detail: dict[str, object] = {"asked_from": asked.address}
    if allowed:
        enforcement.note_bypass(visit.core, visit.signin, member)
        grant = device.allow(visit.core, asked, member, visit.signin, scope)
        # So it is among the programs that the person let in, and can be turned out without the device.
        give_consent(visit.core, asked.client, member, scopes.split(scope), actor=actor)
        visit.core.flush()
        detail |= {"grant": str(grant.id), "scope": scope}
    else:
        device.deny(asked)
    audit.record(
        visit.core,
        actor,
        "device_login.allowed" if allowed else "device_login.denied",
        tenant=member.tenant.id,
        target=asked.client_id,
        detail=detail,
    )
    return page(visit.platform.settings, "device_done.html", allowed=allowed, client=asked.client.name)


def _code_form(
    visit: _Visit, *, message: str = "", status: int = 200, retry_after: int | None = None
) -> Response:
    response = _page(visit, "device.html", status=status, message=message)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _page(visit: _Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page with a form of ours that carries the code on."""
    settings = visit.platform.settings
    secret = forms.form_secret(settings, visit.request)
    response = page(
        settings,
        template,
        status=status,
        form_token=forms.form_token(settings, secret),
        user_code=visit.user_code,
        **values,
    )
    sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
    return response


def _to_signin(user_code: str) -> Response:
    code = device.shown(user_code)
    back = f"/device?{urlencode({'user_code': code})}" if code else "/device"
    return RedirectResponse(f"/signin?{urlencode({'return_to': back})}", 303)
