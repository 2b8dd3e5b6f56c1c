"""The sign-in form: e-mail address and password, or a passkey."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from fastapi.responses import Response

from insula_platform.factors import factors_of, passkeys
from insula_platform.factors.passkeys import UnusablePasskey
from insula_platform.people import check_password
from insula_platform.people.service import normal_email
from insula_platform.signin import completion, forms, sessions
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.brake import BUSY, count, refuse, too_many
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.signin.visits import Opened, Sent, Visit

router = APIRouter(include_in_schema=False)

_WRONG = "The e-mail address or the password is wrong."
OLD_FORM = "This page had expired. Please sign in now."


@router.get("/signin")
def signin_form(visit: Opened, return_to: str = "") -> Response:
    """The form; `return_to` is where the authorization request stopped to ask who is there."""
    with visit.platform.databases.core() as core:
        is_known = sessions.find_session(core, visit.platform.settings, visit.request) is not None
    return _form(visit, return_to, is_known=is_known)


@router.post("/signin")
def signin(visit: Sent) -> Response:
    """Check the password; on success a session, or the question for the second factor."""
    return_to, email = visit.given.get("return_to", ""), normal_email(visit.given.get("email", ""))
    again = partial(_form, visit, return_to, email=email)
    if not visit.is_own_form:
        return again(message=OLD_FORM, status=403)
    attempt = Attempt(visit.platform.settings, visit.request, email)
    if wait := count(visit, attempt):
        return again(message=too_many(wait), status=429, retry_after=wait)
    try:
        with password_check():
            answer = _check(visit, attempt, email, return_to)
    except Busy:
        return again(message=BUSY, status=503, retry_after=5)
    if answer is None:
        refuse(visit)
        return again(message=_WRONG, status=403)
    return answer


@router.post("/signin/passkey/options")
def passkey_options(visit: Sent) -> Response:
    """What the browser is to have signed, as JSON for its script."""
    settings = visit.platform.settings
    if not visit.is_own_form or passkeys.relying_party(settings) is None:
        return Response(status_code=403)
    if visit.platform.throttle.wait(visit.address):
        return Response(status_code=429)
    with visit.platform.databases.core() as core:
        # A browser that waits for its second factor is asked for a passkey of that account.
        step = completion.waiting_step(core, visit)
        account_id = step.account_id if step is not None and "second" in visit.given else None
        secret = forms.form_secret(settings, visit.request)
        options = passkeys.ask_to_sign_in(core, settings, secret, account_id)
    return Response(options, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/signin/passkey")
def signin_by_passkey(visit: Sent) -> Response:
    """Sign in by a passkey alone: it stands for a device and for the person at it."""
    settings, return_to = visit.platform.settings, visit.given.get("return_to", "")
    again = partial(_form, visit, return_to)
    if not visit.is_own_form:
        return again(message=OLD_FORM, status=403)
    attempt = Attempt(settings, visit.request, None)
    if wait := count(visit, attempt):
        return again(message=too_many(wait), status=429, retry_after=wait)
    secret = forms.form_secret(settings, visit.request)
    try:
        with visit.platform.databases.core() as core:
            challenge = passkeys.take_challenge(core, secret)
        with visit.platform.databases.core() as core:
            account = passkeys.sign_in(core, settings, challenge, visit.given.get("credential", ""))
            attempt.succeeded(core)
            return completion.complete(core, visit, account, ["hwk", "mfa"], return_to)
    except UnusablePasskey as error:
        refuse(visit)
        return again(message=f"Not signed in: {error.detail}.", status=403)


def _check(visit: Visit, attempt: Attempt, email: str, return_to: str) -> Response | None:
    with visit.platform.databases.core() as core:
        account = check_password(core, email, visit.given.get("password", ""))
        if account is None:
            return None
        if factors_of(core, account.id).is_protected:
            # The attempt stays counted: whoever has the password alone is still guessing.
            return completion.ask_second(core, visit, account, ["pwd"], return_to)
        attempt.succeeded(core)
        return completion.complete(core, visit, account, ["pwd"], return_to)


def _form(
    visit: Visit,
    return_to: str,
    *,
    email: str = "",
    message: str = "",
    is_known: bool = False,
    status: int = 200,
    retry_after: int | None = None,
) -> Response:
    return visit.page(
        "signin.html",
        is_known=is_known,
        status=status,
        has_script=True,
        retry_after=retry_after,
        return_to=forms.own_return_to(return_to) or "",
        email=email,
        message=message,
        passkeys=passkeys.relying_party(visit.platform.settings) is not None,
    )
