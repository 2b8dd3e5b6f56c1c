"""The sign-in form."""

from __future__ import annotations

from functools import partial

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from insula_platform.oauth.requests import FormBody, read_parameters
from insula_platform.people import Account, check_password
from insula_platform.people.service import normal_email
from insula_platform.signin import forms, sessions
from insula_platform.signin.pages import error_page, page
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.state import CurrentPlatform, Platform

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.signin")

_WRONG = "The e-mail address or the password is wrong."
_OLD_FORM = "This page had expired. Please sign in now."
TOO_MANY = "Too many failed attempts. Try again in {} min."
BUSY = "Too many people are signing in at this moment. Try again in a few seconds."


@router.get("/signin")
def signin_form(request: Request, platform: CurrentPlatform, return_to: str = "") -> Response:
    """The form; `return_to` is where the authorization request stopped to ask who is there."""
    return _form(request, platform, return_to)


@router.post("/signin")
def signin(request: Request, platform: CurrentPlatform, body: FormBody) -> Response:
    """Check the password; on success a new session, and on to where the person came from."""
    try:
        given = read_parameters(body or b"")
    except InvalidRequestError:
        return error_page(
            platform.settings, "Sign-in failed", "The form was damaged on its way.", "Try again.", status=400
        )
    return_to, email = given.get("return_to", ""), normal_email(given.get("email", ""))
    address = sessions.address_of(request)
    again = partial(_form, request, platform, return_to, email=email)
    if not forms.is_own_form(platform.settings, request, given.get("form_token")):
        return again(message=_OLD_FORM, status=403)
    if wait := platform.throttle.wait(email, address):
        log.warning("sign-in throttled", address=address)
        return again(message=TOO_MANY.format(-(-wait // 60)), status=429, retry_after=wait)
    try:
        with password_check():
            answer = _check(request, platform, email, given.get("password", ""), return_to)
    except Busy:
        return again(message=BUSY, status=503, retry_after=5)
    if answer is None:
        platform.throttle.failed(email, address)
        log.warning("sign-in refused", address=address)
        return again(message=_WRONG, status=403)
    platform.throttle.succeeded(email)
    return answer


def _check(
    request: Request, platform: Platform, email: str, password: str, return_to: str
) -> Response | None:
    with platform.databases.core() as core:
        account: Account | None = check_password(core, email, password)
        if account is None:
            return None
        # Without a place to return to, the analytics UI is where people want to be.
        target = forms.own_return_to(return_to) or platform.settings.ui_url
        response = RedirectResponse(target, 303)
        sessions.start_session(core, platform.settings, request, response, account, amr=["pwd"])
        log.info("signed in", account=str(account.id))
        return response


def _form(
    request: Request,
    platform: Platform,
    return_to: str,
    *,
    email: str = "",
    message: str = "",
    status: int = 200,
    retry_after: int | None = None,
) -> Response:
    settings = platform.settings
    secret = forms.form_secret(settings, request)
    response = page(
        settings,
        "signin.html",
        status=status,
        form_token=forms.form_token(settings, secret),
        return_to=forms.own_return_to(return_to) or "",
        email=email,
        message=message,
    )
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    sessions.set_cookie(response, settings, forms.COOKIE, secret, forms.LIFETIME)
    return response
