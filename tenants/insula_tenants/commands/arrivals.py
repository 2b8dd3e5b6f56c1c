"""Take in results of commands, and let the time of those begin whose device has come back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from insula_tenants.commands.models import Command
from insula_tenants.commands.service import OPEN, from_now
from insula_tenants.errors import InvalidInput
from insula_tenants.twins.states import check_json

SURE_FOR = timedelta(hours=1)
"""For how long a broker is taken to have what it was sent for a device that is away."""
MAX_RESULT_BYTES = 32 * 1024
MAX_ERROR = 2000
"""Characters of an error that are kept."""


class NewResult(NamedTuple):
    """What a device says became of a command."""

    command: UUID
    status: Literal["succeeded", "failed"]
    result: Any
    error: str | None


def read_result(command: str, document: Any) -> NewResult:
    """A result from the last level but one of its topic, and the JSON; `InvalidInput` when it is none."""
    try:
        key = UUID(command)
    except ValueError:
        raise InvalidInput("topic", f"{command[:80]!r} is no id of a command") from None
    if not isinstance(document, dict) or document.get("status") not in ("succeeded", "failed"):
        raise InvalidInput("status", 'a result is {"status": "succeeded" or "failed", "result": …}')
    error = document.get("error")
    if error is not None and not isinstance(error, str):
        raise InvalidInput("error", "give a text, or leave it out")
    check_json([document.get("result"), error], field="result", most=MAX_RESULT_BYTES)
    return NewResult(key, document["status"], document.get("result"), error and error[:MAX_ERROR])


def store_result(session: Session, device_id: int, new: NewResult, at: datetime) -> bool:
    """Keep the first result of a command; False when this device was given no such command.

    One that comes after the command's end is kept beside it, as late.
    """
    query = select(Command).where(Command.key == new.command, Command.device_id == device_id)
    command = session.scalar(query.with_for_update())
    if command is None:
        return False
    if command.result_at is not None:
        return True
    late = command.expires_at is not None and at > command.expires_at
    if command.state in OPEN:
        command.state = "timed_out" if late else new.status
        command.ended_at = command.expires_at if late else at
        command.late = late
    else:
        command.late = True
    command.result, command.error, command.result_at = new.result, new.error, at
    session.flush()
    return True


def begin_time(session: Session, device_ids: Collection[int]) -> None:
    """These devices are back: from here on they have the timeout of each command that was kept for them.

    A broker keeps a device's session for a limited time. So what was sent longer than `SURE_FOR` ago waits to
    be sent again, and its time begins then; a device does a command of one id once.
    """
    lately = Command.sent_at > func.now() - SURE_FOR
    session.execute(
        update(Command)
        .where(Command.device_id.in_(device_ids), Command.state == "sent", Command.expires_at.is_(None))
        .values(
            state=case((lately, "sent"), else_="waiting"),
            expires_at=case((lately, from_now())),
        )
        .execution_options(synchronize_session=False)
    )
