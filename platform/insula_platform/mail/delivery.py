"""What the worker does with the outbox: send what is due, try again what failed, give up what is too old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from procrastinate import App
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from insula_platform.mail.letters import SEND_TASK
from insula_platform.mail.models import StoredLetter
from insula_platform.mail.transports import Refused, Transport, message, transport
from insula_platform.settings import PlatformSettings
from insula_tenants.database import Databases

log = structlog.stdlib.get_logger("insula.mail")

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=1)
_WAITING = (StoredLetter.sent_at.is_(None), StoredLetter.failed_at.is_(None))


def add_mail_tasks(app: App, settings: PlatformSettings, databases: Databases) -> None:
    """Register the tasks: at once for a new letter, and each minute for what had to wait."""

    @app.task(name=SEND_TASK)
    async def send() -> None:
        """Send what is due."""
        await asyncio.to_thread(send_letters, settings, databases)

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="resend-letters", name="resend-letters")
    async def resend(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Send what failed before, and what waited for a mail server to be named."""
        await asyncio.to_thread(send_letters, settings, databases)


def send_letters(settings: PlatformSettings, databases: Databases) -> int:
    """Send every letter that is due, each in a transaction of its own; how many went out."""
    with databases.core() as core:
        _give_up(core)
    way = transport(settings)
    sent = 0
    if way is None:
        return sent
    while True:
        with databases.core() as core:
            letter = _next(core)
            if letter is None:
                return sent
            sent += _try(settings, way, letter)


def _next(core: Session) -> StoredLetter | None:
    """A letter that is due, locked: another worker takes another one."""
    due = (
        select(StoredLetter)
        .where(*_WAITING, StoredLetter.next_attempt_at <= func.now())
        .order_by(StoredLetter.next_attempt_at)
        .limit(1)
    )
    return core.scalar(due.with_for_update(skip_locked=True))


def _try(settings: PlatformSettings, way: Transport, letter: StoredLetter) -> bool:
    letter.attempts += 1
    try:
        way(message(settings, letter))
    except (Refused, ValueError) as error:
        letter.failed_at, letter.error, letter.body = datetime.now(UTC), str(error), None
        log.warning("a letter was refused", letter=str(letter.id), error=str(error))
        return False
    except OSError as error:  # smtplib's are OSErrors
        wait = min(_FIRST_WAIT * 2 ** min(letter.attempts - 1, 10), _LONGEST_WAIT)
        letter.next_attempt_at, letter.error = datetime.now(UTC) + wait, str(error)
        log.warning("a letter was not sent", letter=str(letter.id), attempt=letter.attempts, error=str(error))
        return False
    letter.sent_at, letter.error, letter.body = datetime.now(UTC), None, None
    log.info("a letter was sent", letter=str(letter.id))
    return True


def _give_up(core: Session) -> None:
    """Erase letters that nobody could use any more."""
    core.execute(
        update(StoredLetter)
        .where(*_WAITING, StoredLetter.expires_at <= func.now())
        .values(
            failed_at=func.now(),
            body=None,
            error=func.coalesce(StoredLetter.error, "it expired before a mail server was named"),
        )
    )
