"""What the operator sees of the outbox."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.mail.models import StoredLetter
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.errors import NotFound


def recent_letters(core: Session, limit: int) -> list[StoredLetter]:
    """The newest letters, newest first."""
    newest = select(StoredLetter).order_by(StoredLetter.created_at.desc(), StoredLetter.id).limit(limit)
    return list(core.scalars(newest))


def read_letter(core: Session, letter_id: UUID, *, actor: Actor) -> StoredLetter:
    """One letter with its text, which may let whoever reads it in: the audit log has who that was.

    Raises `NotFound`.
    """
    letter = core.get(StoredLetter, letter_id)
    if letter is None:
        raise NotFound(f"there is no letter {str(letter_id)!r}")
    audit.record(
        core, actor, "letter.read", tenant=None, target=letter.recipient, detail={"subject": letter.subject}
    )
    return letter
