"""Change the password, with the old one."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from insula_platform.account.guard import enter, enter_with_form
from insula_platform.mail import enqueue
from insula_platform.people import Account, set_password
from insula_platform.people.passwords import MIN_LENGTH, verify_password
from insula_platform.signin.attempts import Attempt
from insula_platform.signin.brake import BUSY, count, refuse, too_many
from insula_platform.signin.ending import end_all
from insula_platform.signin.reset import password_letter
from insula_platform.signin.throttle import Busy, password_check
from insula_platform.signin.visits import Opened, Sent, Visit, sentence
from insula_tenants import audit
from insula_tenants.errors import InvalidInput, NotAllowed

router = APIRouter(include_in_schema=False)

PATH = "/account/password"


@router.get(PATH)
def password_form(visit: Opened) -> Response:
    """The form."""
    return _form(visit)


@router.post(PATH)
def change_password(visit: Sent) -> Response:
    """Take the new password when the old one is right; every other browser is signed out."""
    with visit.platform.databases.core() as core:
        email = enter_with_form(core, visit, PATH).account.email
    attempt = Attempt(visit.platform.settings, visit.request, email)
    if wait := count(visit, attempt):
        return _form(visit, message=too_many(wait), status=429, retry_after=wait)
    try:
        with password_check():
            ended = _change(visit, attempt)
    except Busy:
        return _form(visit, message=BUSY, status=503, retry_after=5)
    except NotAllowed:
        refuse(visit)
        return _form(visit, message="The present password is wrong. Nothing was changed.", status=403)
    except InvalidInput as error:
        return _form(visit, message=sentence(error.detail), status=422)
    others = {0: "", 1: " Another browser was signed out."}.get(
        ended, f" {ended} other browsers were signed out."
    )
    return _form(visit, note=f"Your password is changed.{others}")


def _change(visit: Visit, attempt: Attempt) -> int:
    """Change it; how many other sessions that ended."""
    with visit.platform.databases.core() as core:
        person = enter(core, visit, PATH)
        account = core.get(Account, person.account.id, with_for_update=True)
        assert account is not None  # noqa: S101 - locked anew
        if not verify_password(account.password_hash, visit.given.get("password", "")):
            raise NotAllowed("the present password is wrong")
        set_password(core, account, visit.given.get("new_password", ""))
        attempt.succeeded(core)
        ended = end_all(core, account.id, but=person.session.id)
        audit.record(
            core,
            person.actor,
            "password.changed",
            tenant=None,
            target=account.email,
            detail={"sessions_ended": ended},
        )
        enqueue(core, password_letter(account))
        return ended


def _form(
    visit: Visit, *, message: str = "", note: str = "", status: int = 200, retry_after: int | None = None
) -> Response:
    with visit.platform.databases.core() as core:
        account = enter(core, visit, PATH).account
        has_password, email = account.password_hash is not None, account.email
    return visit.page(
        "password.html",
        status=status,
        retry_after=retry_after,
        has_script=True,
        email=email,
        has_password=has_password,
        min_length=MIN_LENGTH,
        message=message,
        note=note,
    )
