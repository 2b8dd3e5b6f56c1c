"""A forgotten password: ask for a link, and choose a new one with it.

Both forms give nothing away: the first answers alike for every address, and does the same work for it.
"""

from __future__ import annotations

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from insula_platform.email_links import service as links
from insula_platform.email_links.service import DeadLink, Purpose
from insula_platform.email_links.tasks import request_reset
from insula_platform.factors import forget_factors
from insula_platform.mail import Letter, enqueue
from insula_platform.people import Account, set_password
from insula_platform.people.passwords import MIN_LENGTH
from insula_platform.people.service import normal_email
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.brake import BUSY, count, refuse, too_many
from insula_platform.signin.ending import end_all
from insula_platform.signin.pages import error_page
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.signin.visits import Opened, Sent, Visit, sentence
from insula_tenants import audit
from insula_tenants.errors import InvalidInput

router = APIRouter(include_in_schema=False)
log = structlog.stdlib.get_logger("insula.signin")

_OLD_FORM = "This page had expired. Please try again."
_MAX_ADDRESS = 254


@router.get("/reset")
def reset_form(visit: Opened) -> Response:
    """Ask for the address."""
    return _ask(visit)


@router.post("/reset")
def request_link(visit: Sent) -> Response:
    """Have a link sent, should there be an account. Whether there is, only the worker finds out."""
    email = normal_email(visit.given.get("email", ""))
    if not visit.is_own_form:
        return _ask(visit, message=_OLD_FORM, status=403)
    if "@" not in email or len(email) > _MAX_ADDRESS or not email.isprintable():
        return _ask(visit, message="Give an e-mail address like ada@example.com.", status=422)
    if wait := count(visit, Attempt(visit.platform.settings, visit.request, None)):
        return _ask(visit, message=too_many(wait), status=429, retry_after=wait)
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    with visit.platform.databases.core() as core:
        request_reset(core, email, visit.address, request_id)
    return visit.page("reset_sent.html", email=email)


@router.get("/reset/password")
def new_password_form(visit: Opened) -> Response:
    """Where the link leads."""
    return _choose(visit)


@router.post("/reset/password")
def choose_password(visit: Sent) -> Response:
    """Take the new password. Whoever was signed in is so no longer."""
    if not visit.is_own_form:
        return _choose(visit, message=_OLD_FORM, status=403)
    if wait := count(visit, Attempt(visit.platform.settings, visit.request, None)):
        return _choose(visit, message=too_many(wait), status=429, retry_after=wait)
    try:
        with password_check():
            _reset(visit)
    except Busy:
        return _choose(visit, message=BUSY, status=503, retry_after=5)
    except InvalidInput as error:
        return _choose(visit, message=sentence(error.detail), status=422)
    except DeadLink as error:
        refuse(visit)
        return error_page(
            visit.platform.settings,
            "This link cannot be used",
            error.detail,
            "Ask for a new one under “Forgot your password?” on the sign-in page.",
            status=error.status,
        )
    return visit.page("reset_done.html")


def _reset(visit: Visit) -> None:
    # A password that is refused rolls this back, so that the link stays good.
    with visit.platform.databases.core() as core:
        link = links.take(core, visit.given.get("token", ""), Purpose.RESET)
        account = core.get(Account, link.account_id, with_for_update=True)
        if account is None or account.email != link.email:
            raise DeadLink("It was sent to an address that the account no longer has.")
        set_password(core, account, visit.given.get("password", ""))
        if account.email_verified_at is None:
            # Until now it was shown to be nobody's: whoever made it keeps no way in beside the password.
            forget_factors(core, account.id)
            account.email_verified_at = link.created_at
        links.forget(core, account.id)
        ended = end_all(core, account.id)
        attempt = Attempt(visit.platform.settings, visit.request, account.email)
        attempt.succeeded(core)
        audit.record(
            core,
            visit.actor(account),
            "password.reset",
            tenant=None,
            target=account.email,
            detail={"sessions_ended": ended},
        )
        enqueue(core, password_letter(account))


def password_letter(account: Account) -> Letter:
    """Tell the owner that their password is another now."""
    return Letter(
        account.email,
        "Your password at Insula was changed",
        "Hello,\n\nthe password of your account at Insula was changed just now, and other browsers were "
        "signed out.\n\nIt was not you? Choose a new one at once, under “Forgot your password?” on the "
        "sign-in page, and tell whoever runs your Insula.\n",
    )


def _ask(visit: Visit, *, message: str = "", status: int = 200, retry_after: int | None = None) -> Response:
    return visit.page("reset.html", status=status, retry_after=retry_after, message=message)


def _choose(
    visit: Visit, *, message: str = "", status: int = 200, retry_after: int | None = None
) -> Response:
    return visit.page(
        "reset_password.html",
        status=status,
        retry_after=retry_after,
        has_script=True,
        token=visit.given.get("token", "").strip(),
        min_length=MIN_LENGTH,
        message=message,
    )
