"""The browsers in which one is signed in, and how to end that."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from insula_platform.account.devices import device_name
from insula_platform.account.guard import enter, enter_with_form
from insula_platform.signin.ending import end_all, end_one, sessions_of
from insula_platform.signin.visits import Opened, Sent
from insula_tenants import audit

router = APIRouter(include_in_schema=False)

PATH = "/account/sessions"


@router.get(PATH)
def list_sessions(visit: Opened) -> Response:
    """Every session, this browser's first."""
    with visit.platform.databases.core() as core:
        person = enter(core, visit, PATH)
        found = sessions_of(core, person.account.id)
        shown = [
            {
                "id": session.id,
                "device": device_name(session.user_agent),
                "address": session.address,
                "started": session.auth_time,
                "seen": session.last_seen_at,
                "is_this": session.id == person.session.id,
            }
            for session in sorted(found, key=lambda each: each.id != person.session.id)
        ]
        return visit.page("sessions.html", sessions=shown)


@router.post("/account/sessions/end")
def end_session(visit: Sent) -> Response:
    """End one session: the browser is signed out, and the programs that it let in."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH)
        try:
            session_id = UUID(visit.given.get("session", ""))
        except ValueError:
            session_id = None
        if session_id is not None and end_one(core, person.account.id, session_id):
            audit.record(
                core,
                person.actor,
                "session.ended",
                tenant=None,
                target=person.account.email,
                detail={"session": str(session_id)},
            )
    # One that has ended meanwhile is not an error: it is what was wanted.
    return RedirectResponse(PATH, 303)


@router.post("/account/sessions/end-others")
def end_other_sessions(visit: Sent) -> Response:
    """End every session but this browser's."""
    with visit.platform.databases.core() as core:
        person = enter_with_form(core, visit, PATH)
        ended = end_all(core, person.account.id, but=person.session.id)
        audit.record(
            core,
            person.actor,
            "session.others_ended",
            tenant=None,
            target=person.account.email,
            detail={"sessions_ended": ended},
        )
    return RedirectResponse(PATH, 303)
