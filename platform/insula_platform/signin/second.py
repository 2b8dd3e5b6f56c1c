"""The second factor: a code of an app, a recovery code, or a passkey, after the password was right."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from insula_platform.factors import factors_of, passkeys, recovery, totp
from insula_platform.factors.passkeys import UnusablePasskey
from insula_platform.people import Account
from insula_platform.signin import completion, forms
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.brake import count, refuse, too_many
from insula_platform.signin.routes import OLD_FORM
from insula_platform.signin.visits import Opened, Sent, Visit
from insula_tenants import audit

router = APIRouter(include_in_schema=False)

_WRONG = "This code is wrong, or was used before."


@router.get("/signin/second")
def second_form(visit: Opened, return_to: str = "") -> Response:
    """The form, for a browser in which the password was right."""
    return _form(visit, return_to)


@router.post("/signin/second")
def second_code(visit: Sent) -> Response:
    """Check the code; on success a session."""
    return_to, code = visit.given.get("return_to", ""), visit.given.get("code", "")
    again = partial(_form, visit, return_to)
    begun = _begin(visit)
    if isinstance(begun, Response):
        return begun
    account_id, attempt = begun
    with visit.platform.databases.core() as core:
        step = completion.waiting_step(core, visit, lock=True)
        account = core.get(Account, account_id)
        if step is None or account is None:
            return _start_over(return_to)
        if _is_right(core, visit, account, code):
            attempt.succeeded(core)
            return completion.complete(core, visit, account, [*step.amr, "otp", "mfa"], return_to)
    refuse(visit)
    return again(message=_WRONG, status=403)


@router.post("/signin/second/passkey")
def second_passkey(visit: Sent) -> Response:
    """Check the passkey's answer; on success a session."""
    settings, return_to = visit.platform.settings, visit.given.get("return_to", "")
    begun = _begin(visit)
    if isinstance(begun, Response):
        return begun
    account_id, attempt = begun
    try:
        with visit.platform.databases.core() as core:
            challenge = passkeys.take_challenge(core, forms.form_secret(settings, visit.request))
        with visit.platform.databases.core() as core:
            step = completion.waiting_step(core, visit, lock=True)
            if step is None:
                return _start_over(return_to)
            answer = visit.given.get("credential", "")
            account = passkeys.sign_in(core, settings, challenge, answer, account_id)
            attempt.succeeded(core)
            return completion.complete(core, visit, account, [*step.amr, "hwk", "mfa"], return_to)
    except UnusablePasskey as error:
        refuse(visit)
        return _form(visit, return_to, message=f"Not signed in: {error.detail}.", status=403)


def _begin(visit: Visit) -> tuple[UUID, Attempt] | Response:
    """Whose second factor is tried, and the attempt, counted; else the answer."""
    return_to = visit.given.get("return_to", "")
    if not visit.is_own_form:
        return _form(visit, return_to, message=OLD_FORM, status=403)
    with visit.platform.databases.core() as core:
        step = completion.waiting_step(core, visit)
        account = core.get(Account, step.account_id) if step is not None else None
        if account is None:
            return _start_over(return_to)
        account_id, email = account.id, account.email
    attempt = Attempt(visit.platform.settings, visit.request, email)
    if wait := count(visit, attempt):
        message = too_many(wait)
        return _form(visit, return_to, message=message, status=429, retry_after=wait)
    return account_id, attempt


def _is_right(core: Session, visit: Visit, account: Account, code: str) -> bool:
    if totp.check(core, visit.platform.settings.secret_key, account.id, code):
        return True
    if recovery.is_one(code) and recovery.use(core, account.id, code):
        left = factors_of(core, account.id).recovery_codes
        audit.record(
            core,
            visit.actor(account),
            "recovery-code.used",
            tenant=None,
            target=account.email,
            detail={"left": left},
        )
        return True
    return False


def _start_over(return_to: str) -> Response:
    """Back to the first form: too much time has passed since the password."""
    return RedirectResponse(completion.returning("/signin", return_to), 303)


def _form(
    visit: Visit, return_to: str, *, message: str = "", status: int = 200, retry_after: int | None = None
) -> Response:
    with visit.platform.databases.core() as core:
        step = completion.waiting_step(core, visit)
        factors = factors_of(core, step.account_id) if step is not None else None
    if factors is None:
        return _start_over(return_to)
    return visit.page(
        "second.html",
        status=status,
        has_script=True,
        retry_after=retry_after,
        return_to=forms.own_return_to(return_to) or "",
        message=message,
        has_app=factors.totp is not None,
        has_passkey=bool(factors.passkeys),
    )
