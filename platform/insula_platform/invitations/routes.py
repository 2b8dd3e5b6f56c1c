"""The pages of an invitation: open it, then join.

The token is behind the `#` of the link. A few lines of script put it into the first form; without scripts
the person pastes it. From there on it travels in forms alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from insula_platform.invitations import service
from insula_platform.invitations.service import Invited
from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people import Account
from insula_platform.people.passwords import MIN_LENGTH
from insula_platform.signin import forms, sessions
from insula_platform.signin.pages import error_page, page
from insula_platform.signin.routes import BUSY, TOO_MANY
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.audit import Actor
from insula_tenants.errors import Conflict, InsulaError, InvalidInput

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.invitations")

_OLD_FORM = "This page had expired. Please open your link again."
_WRONG = "The password is wrong."


class _Visit(NamedTuple):
    """Somebody at one of the two forms, with what they have filled in."""

    request: Request
    platform: Platform
    given: dict[str, str]

    @property
    def token(self) -> str:
        return self.given.get("invitation", "").strip()

    @property
    def address(self) -> str:
        return sessions.address_of(self.request)


@router.get("/invitation")
def invitation_form(request: Request, platform: CurrentPlatform) -> Response:
    """Where the link leads."""
    return _code_form(request, platform)


@router.post("/invitation")
def open_invitation(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Show what the invitation is to, and ask for what is needed to join."""
    visit = _visit(request, platform, body)
    if isinstance(visit, Response):
        return visit
    try:
        with platform.databases.core() as core:
            invited, signed_in = _enter(core, visit)
            return _join_form(visit, invited, signed_in)
    except InsulaError as error:
        return _refused(visit, error)


@router.post("/invitation/join")
def join(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Become a member, signed in, and go on to the analytics UI."""
    visit = _visit(request, platform, body)
    if isinstance(visit, Response):
        return visit
    try:
        with password_check():
            return _join(visit)
    except Busy:
        return _code_form(request, platform, message=BUSY, status=503, retry_after=5)
    except InsulaError as error:
        return _refused(visit, error)


def _join(visit: _Visit) -> Response:
    request, platform, given = visit
    with platform.databases.core() as core:
        invited, signed_in = _enter(core, visit)
        email = invited.invitation.email
        response = RedirectResponse(platform.settings.ui_url, 303)
        account = signed_in
        if account is None:
            if wait := platform.throttle.wait(email, visit.address):
                message = TOO_MANY.format(-(-wait // 60))
                return _join_form(visit, invited, None, message=message, status=429, retry_after=wait)
            try:
                with core.begin_nested():
                    account = service.account_for(
                        core, invited, given.get("name", ""), given.get("password", "")
                    )
            except (service.WrongPassword, Conflict):
                platform.throttle.failed(email, visit.address)
                log.warning("sign-in refused", address=visit.address)
                return _join_form(visit, invited, None, message=_WRONG, status=403)
            except InvalidInput as error:
                return _join_form(visit, invited, None, message=error.detail, status=422)
            platform.throttle.succeeded(email)
            sessions.start_session(core, platform.settings, request, response, account, amr=["pwd"])
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        service.accept_as(core, invited, account, Actor("person", str(account.id), visit.address, request_id))
        log.info("invitation accepted", account=str(account.id), tenant=invited.tenant.slug)
        return response


def _enter(core: Session, visit: _Visit) -> tuple[Invited, Account | None]:
    """The invitation, and the account that is signed in; raises what `_refused` has a page for."""
    invited = service.find(core, visit.token)
    session = sessions.find_session(core, visit.platform.settings, visit.request)
    account = core.get(Account, session.account_id) if session else None
    if account is not None:
        service.check_address(invited, account)
    return invited, account


def _visit(request: Request, platform: Platform, body: bytes | None) -> _Visit | Response:
    """The form that was sent, when it is one of ours and nobody is guessing; else the answer."""
    try:
        visit = _Visit(request, platform, read_parameters(body or b""))
    except InvalidRequestError:
        return error_page(
            platform.settings, "Not joined", "The form was damaged on its way.", "Try again.", status=400
        )
    if not forms.is_own_form(platform.settings, request, visit.given.get("form_token")):
        return _code_form(request, platform, message=_OLD_FORM, status=403)
    if wait := platform.throttle.wait(None, visit.address):
        log.warning("invitation throttled", address=visit.address)
        message = TOO_MANY.format(-(-wait // 60))
        return _code_form(request, platform, message=message, status=429, retry_after=wait)
    return visit


def _refused(visit: _Visit, error: InsulaError) -> Response:
    settings = visit.platform.settings
    if isinstance(error, service.NoInvitation):
        visit.platform.throttle.failed(None, visit.address)
        log.warning("invitation refused", address=visit.address)
        title, advice = "This invitation cannot be used", "Ask whoever invited you for a new one."
    elif isinstance(error, service.TenantTakesNobody):
        title, advice = "Not at the moment", "Your invitation stays good until it expires: try again later."
    elif isinstance(error, service.OtherAddress):
        return page(settings, "other_address.html", status=error.status)
    else:
        raise error
    return error_page(settings, title, error.detail, advice, status=error.status)


def _code_form(
    request: Request,
    platform: Platform,
    *,
    message: str = "",
    status: int = 200,
    retry_after: int | None = None,
) -> Response:
    return _form(
        request, platform, "invitation.html", status, retry_after, has_script=not message, message=message
    )


def _join_form(
    visit: _Visit,
    invited: Invited,
    signed_in: Account | None,
    *,
    message: str = "",
    status: int = 200,
    retry_after: int | None = None,
) -> Response:
    return _form(
        visit.request,
        visit.platform,
        "join.html",
        status,
        retry_after,
        invitation=visit.token,
        tenant=invited.tenant.name,
        role=invited.invitation.role,
        email=invited.invitation.email,
        signed_in=signed_in is not None,
        name=visit.given.get("name", ""),
        min_length=MIN_LENGTH,
        message=message,
    )


def _form(
    request: Request,
    platform: Platform,
    template: str,
    status: int,
    retry_after: int | None,
    **values: Any,
) -> Response:
    settings = platform.settings
    secret = forms.form_secret(settings, request)
    response = page(
        settings, template, status=status, form_token=forms.form_token(settings, secret), **values
    )
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
    return response
