"""Who may see a page of the account, and whose form is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from insula_platform.people import Account
from insula_platform.signin import sessions
from insula_platform.signin.completion import returning
from insula_platform.signin.models import SigninSession
from insula_platform.signin.pages import error_page
from insula_platform.signin.visits import Visit
from insula_tenants.audit import Actor

RECENT = timedelta(minutes=10)
"""For so long after signing in one may change how one signs in."""


class MustSignIn(Exception):
    """Nobody is signed in, or not recently enough; one comes back to the page afterwards."""

    def __init__(self, return_to: str) -> None:
        """`return_to` is one of `forms.RETURN_TO`."""
        super().__init__(return_to)
        self.return_to = return_to


class ForeignForm(Exception):
    """The form is none of ours, or has expired."""


class Person(NamedTuple):
    """Who is at the page."""

    account: Account
    session: SigninSession
    actor: Actor


def enter(core: Session, visit: Visit, return_to: str, *, recently: bool = False) -> Person:
    """Who is signed in; raises `MustSignIn`. With `recently`, a sign-in of some time ago is not enough."""
    session = sessions.find_session(core, visit.platform.settings, visit.request)
    account = core.get(Account, session.account_id) if session is not None else None
    if session is None or account is None:
        raise MustSignIn(return_to)
    if recently and datetime.now(UTC) - session.auth_time > RECENT:
        raise MustSignIn(return_to)
    return Person(account, session, visit.actor(account))


def enter_with_form(core: Session, visit: Visit, return_to: str, *, recently: bool = False) -> Person:
    """The same for a form that was sent; raises `ForeignForm` too."""
    if not visit.is_own_form:
        raise ForeignForm
    return enter(core, visit, return_to, recently=recently)


def install(app: FastAPI) -> None:
    """Answer these exceptions with pages."""
    app.add_exception_handler(MustSignIn, _sign_in)
    app.add_exception_handler(ForeignForm, _foreign)


def _sign_in(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MustSignIn)  # noqa: S101 - registered for this class alone
    return RedirectResponse(returning("/signin", error.return_to), 303)


def _foreign(request: Request, _error: Exception) -> Response:
    return error_page(
        request.app.state.platform.settings,
        "Nothing was changed",
        "This page had expired.",
        "Go back, reload the page, and try again.",
        status=403,
    )
