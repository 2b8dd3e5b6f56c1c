"""The session of a browser: an opaque id in a cookie, everything else in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fastapi import Request, Response
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_platform.oauth.models import fingerprint, new_secret
from insula_platform.people import Account
from insula_platform.settings import PlatformSettings
from insula_platform.signin.models import SigninSession

_SEEN_EVERY = timedelta(minutes=1)
_USER_AGENT_LENGTH = 400


def address_of(request: Request) -> str:
    """Where the request came from, as far as is known."""
    return request.client.host if request.client else ""


def cookie_name(settings: PlatformSettings, name: str) -> str:
    """The cookie's name; on https with the prefix that lets no other host or path set it."""
    return f"__Host-insula_{name}" if settings.is_https else f"insula_{name}"


def set_cookie(response: Response, settings: PlatformSettings, name: str, value: str, max_age: int) -> None:
    """Set a cookie that scripts and other sites' forms cannot use. `max_age` in seconds, 0 removes it."""
    response.set_cookie(
        cookie_name(settings, name),
        value,
        max_age=max_age,
        secure=settings.is_https,
        httponly=True,
        samesite="lax",
    )


def find_session(core: Session, settings: PlatformSettings, request: Request) -> SigninSession | None:
    """The session of this browser while it lasts. Notes that it was seen, at most once a minute."""
    session_id = request.cookies.get(cookie_name(settings, "session"))
    if not session_id:
        return None
    now = datetime.now(UTC)
    session = core.scalar(
        select(SigninSession).where(
            SigninSession.id_hash == fingerprint(session_id), SigninSession.expires_at > now
        )
    )
    if session is not None and now - session.last_seen_at > _SEEN_EVERY:
        session.last_seen_at, session.address = now, address_of(request)
    return session


def start_session(
    core: Session,
    settings: PlatformSettings,
    request: Request,
    response: Response,
    account: Account,
    *,
    amr: Sequence[str],
) -> None:
    """A new session for this browser, under a new id; the one it had before ends.

    `amr` says how the person proved who they are, in the words of RFC 8176: `pwd`, `otp`, `hwk`, `fed` …
    """
    end_session(core, settings, request, response)
    now = datetime.now(UTC)
    core.execute(
        delete(SigninSession).where(SigninSession.account_id == account.id, SigninSession.expires_at <= now)
    )
    session_id = new_secret()
    core.add(
        SigninSession(
            id_hash=fingerprint(session_id),
            account_id=account.id,
            auth_time=now,
            expires_at=now + timedelta(seconds=settings.signin_lifetime),
            amr=list(amr),
            user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_LENGTH],
            address=address_of(request),
            last_seen_at=now,
        )
    )
    set_cookie(response, settings, "session", session_id, settings.signin_lifetime)


def end_session(core: Session, settings: PlatformSettings, request: Request, response: Response) -> None:
    """End this browser's session, if it has one."""
    session_id = request.cookies.get(cookie_name(settings, "session"))
    if session_id:
        core.execute(delete(SigninSession).where(SigninSession.id_hash == fingerprint(session_id)))
        set_cookie(response, settings, "session", "", 0)
