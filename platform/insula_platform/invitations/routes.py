"""The pages of an invitation: open it, then join.

The token is behind the `#` of the link. A few lines of script put it into the first form; without scripts
the person pastes it. From there on it travels in forms alone.
"""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from insula_platform.email_links.service import send_verification
from insula_platform.factors import factors_of
from insula_platform.invitations import service
from insula_platform.invitations.service import Invited
from insula_platform.people import Account
from insula_platform.people.passwords import MIN_LENGTH
from insula_platform.signin import completion, sessions
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.brake import BUSY, count, refuse, too_many
from insula_platform.signin.pages import error_page, page
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.signin.visits import Opened, Sent, Visit, sentence
from insula_tenants.errors import Conflict, InsulaError, InvalidInput

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.invitations")

_OLD_FORM = "This page had expired. Please open your link again."
_WRONG = "The password is wrong."


@router.get("/invitation")
def invitation_form(visit: Opened) -> Response:
    """Where the link leads."""
    return _code_form(visit)


@router.post("/invitation")
def open_invitation(visit: Sent) -> Response:
    """Show what the invitation is to, and ask for what is needed to join."""
    if refused := _check(visit):
        return refused
    try:
        with visit.platform.databases.core() as core:
            invited, signed_in = _enter(core, visit)
            return _join_form(visit, invited, signed_in)
    except InsulaError as error:
        return _refused(visit, error)


@router.post("/invitation/join")
def join(visit: Sent) -> Response:
    """Become a member, signed in, and go on to the analytics UI."""
    if refused := _check(visit):
        return refused
    try:
        with password_check():
            return _join(visit)
    except Busy:
        return _code_form(visit, message=BUSY, status=503, retry_after=5)
    except InsulaError as error:
        return _refused(visit, error)


def _join(visit: Visit) -> Response:
    with visit.platform.databases.core() as core:
        invited, signed_in = _enter(core, visit)
        if signed_in is not None:
            _accept(core, visit, invited, signed_in)
            return RedirectResponse(visit.platform.settings.ui_url, 303)
        email = invited.invitation.email
    attempt = Attempt(visit.platform.settings, visit.request, email)
    if wait := count(visit, attempt):
        return _ask_again(visit, too_many(wait), 429, wait)
    try:
        return _join_by_password(visit, attempt)
    except (service.WrongPassword, Conflict):
        refuse(visit)
        return _ask_again(visit, _WRONG, 403)
    except InvalidInput as error:
        with visit.platform.databases.core() as core:
            attempt.succeeded(core)  # there is no account yet: nothing was guessed at
        return _ask_again(visit, sentence(error.detail), 422)


def _ask_again(visit: Visit, message: str, status: int, retry_after: int | None = None) -> Response:
    with visit.platform.databases.core() as core:
        invited, signed_in = _enter(core, visit)
        return _join_form(visit, invited, signed_in, message=message, status=status, retry_after=retry_after)


def _join_by_password(visit: Visit, attempt: Attempt) -> Response:
    """Join with the password of the invited address's account, or one for a new account."""
    given = visit.given
    with visit.platform.databases.core() as core:
        invited, _ = _enter(core, visit)
        account = service.account_for(core, invited, given.get("name", ""), given.get("password", ""))
        if factors_of(core, account.id).is_protected:
            raise service.NeedsSecondFactor("this account has a second factor")
        attempt.succeeded(core)
        if account.email_verified_at is None:
            # Whoever invited them has seen the link too: it does not show whose the address is.
            send_verification(core, visit.platform.settings.public_url, account)
        _accept(core, visit, invited, account)
        return completion.complete(core, visit, account, ["pwd"], "")


def _accept(core: Session, visit: Visit, invited: Invited, account: Account) -> None:
    service.accept_as(core, invited, account, visit.actor(account))
    log.info("invitation accepted", account=str(account.id), tenant=invited.tenant.slug)


def _enter(core: Session, visit: Visit) -> tuple[Invited, Account | None]:
    """The invitation, and the account that is signed in; raises what `_refused` has a page for."""
    invited = service.find(core, _token(visit))
    session = sessions.find_session(core, visit.platform.settings, visit.request)
    account = core.get(Account, session.account_id) if session else None
    if account is not None:
        service.check_address(invited, account)
    return invited, account


def _token(visit: Visit) -> str:
    return visit.given.get("invitation", "").strip()


def _check(visit: Visit) -> Response | None:
    """The answer to a form that is none of ours, and to somebody who is guessing."""
    if not visit.is_own_form:
        return _code_form(visit, message=_OLD_FORM, status=403)
    if wait := visit.platform.throttle.wait(visit.address):
        log.warning("invitation throttled", address=visit.address)
        return _code_form(visit, message=too_many(wait), status=429, retry_after=wait)
    return None


def _refused(visit: Visit, error: InsulaError) -> Response:
    settings = visit.platform.settings
    if isinstance(error, service.NoInvitation):
        visit.platform.throttle.failed(visit.address)
        log.warning("invitation refused", address=visit.address)
        title, advice = "This invitation cannot be used", "Ask whoever invited you for a new one."
    elif isinstance(error, service.TenantTakesNobody):
        title, advice = "Not at the moment", "Your invitation stays good until it expires: try again later."
    elif isinstance(error, service.NeedsSecondFactor):
        return page(settings, "join_signed_in.html", status=error.status)
    elif isinstance(error, service.OtherAddress):
        return page(settings, "other_address.html", status=error.status)
    else:
        raise error
    return error_page(settings, title, error.detail, advice, status=error.status)


def _code_form(
    visit: Visit, *, message: str = "", status: int = 200, retry_after: int | None = None
) -> Response:
    return visit.page(
        "invitation.html", status=status, retry_after=retry_after, has_script=not message, message=message
    )


def _join_form(
    visit: Visit,
    invited: Invited,
    signed_in: Account | None,
    *,
    message: str = "",
    status: int = 200,
    retry_after: int | None = None,
) -> Response:
    return visit.page(
        "join.html",
        status=status,
        retry_after=retry_after,
        has_script=True,
        invitation=_token(visit),
        tenant=invited.tenant.name,
        role=invited.invitation.role,
        email=invited.invitation.email,
        signed_in=signed_in is not None,
        name=visit.given.get("name", ""),
        min_length=MIN_LENGTH,
        message=message,
    )
