"""The outbox: letters wait in the registry until the worker has handed them to a mail server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from procrastinate import App, SyncPsycopgConnector
from sqlalchemy.orm import Session

from insula_platform.mail.models import StoredLetter

SEND_TASK = "send-letters"

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())


@dataclass(frozen=True, slots=True)
class Letter:
    """Plain text to one person."""

    to: str
    """The bare address."""
    subject: str
    """One line."""
    text: str
    lifetime: timedelta = timedelta(days=3)
    """How long it is worth sending: for a letter with a link, as long as the link is good."""

    tenant: UUID | None = None
    """The tenant of which it speaks; None for one that is the person's own."""

    def __post_init__(self) -> None:
        """Refuse what would let an address or a name write header fields of its own."""
        for name, value in (("to", self.to), ("subject", self.subject)):
            if not value.isprintable():
                raise ValueError(f"{name} must be one printable line")


def enqueue(core: Session, letter: Letter) -> None:
    """Have the letter sent once the caller's transaction is committed; with its rollback it never was."""
    core.add(
        StoredLetter(
            tenant_id=letter.tenant,
            recipient=letter.to,
            subject=letter.subject,
            body=letter.text,
            expires_at=datetime.now(UTC) + letter.lifetime,
        )
    )
    defer_sending(core)


def defer_sending(core: Session) -> None:
    """Wake the worker for what waits. Without it, it looks once a minute."""
    connection = core.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    _queue.configure_task(SEND_TASK, connection=connection).defer()
