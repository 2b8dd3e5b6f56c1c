"""From the last proof to a session, or from the first proof to the second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import structlog
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.oauth.models import fingerprint, new_secret
from insula_platform.people import Account
from insula_platform.signin import forms, sessions
from insula_platform.signin.attempts import remember_device
from insula_platform.signin.models import SigninStep
from insula_platform.signin.visits import Visit
from insula_tenants import audit

log = structlog.stdlib.get_logger("insula.signin")

STEP_COOKIE = "step"
STEP_LIFETIME = 600
"""Seconds in which the second factor must follow the first."""


def ask_second(core: Session, visit: Visit, account: Account, amr: Sequence[str], return_to: str) -> Response:
    """Remember that the first proof was right, and go on to the second. There is no session yet."""
    settings = visit.platform.settings
    step = new_secret()
    core.add(
        SigninStep(
            id_hash=fingerprint(step),
            account_id=account.id,
            amr=list(amr),
            expires_at=datetime.now(UTC) + timedelta(seconds=STEP_LIFETIME),
        )
    )
    response = RedirectResponse(returning("/signin/second", return_to), 303)
    sessions.set_cookie(response, settings, STEP_COOKIE, step, STEP_LIFETIME)
    return response


def returning(path: str, return_to: str) -> str:
    """The page `path`, which remembers where the person came from."""
    target = forms.own_return_to(return_to)
    return f"{path}?{urlencode({'return_to': target})}" if target else path


def waiting_step(core: Session, visit: Visit, *, lock: bool = False) -> SigninStep | None:
    """What this browser has shown so far, when the second factor is still asked."""
    step = visit.request.cookies.get(sessions.cookie_name(visit.platform.settings, STEP_COOKIE))
    if not step:
        return None
    query = select(SigninStep).where(
        SigninStep.id_hash == fingerprint(step), SigninStep.expires_at > datetime.now(UTC)
    )
    return core.scalar(query.with_for_update() if lock else query)


def complete(core: Session, visit: Visit, account: Account, amr: Sequence[str], return_to: str) -> Response:
    """A session for this browser, and on to where the person came from."""
    settings = visit.platform.settings
    # Without a place to return to, the analytics UI is where people want to be.
    response = RedirectResponse(forms.own_return_to(return_to) or settings.ui_url, 303)
    sessions.start_session(core, settings, visit.request, response, account, amr=amr)
    remember_device(settings, visit.request, response, account.id, account.email)
    if step := waiting_step(core, visit):
        core.delete(step)
        sessions.set_cookie(response, settings, STEP_COOKIE, "", 0)
    audit.record(
        core,
        visit.actor(account),
        "session.started",
        tenant=None,
        target=account.email,
        detail={"amr": list(amr)},
    )
    log.info("signed in", account=str(account.id), amr=list(amr))
    return response
