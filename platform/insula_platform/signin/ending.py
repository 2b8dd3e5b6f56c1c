"""End sessions, and what was given in them: the grants whose tokens other programs hold."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from insula_platform.oauth.models import Grant
from insula_platform.signin.models import SigninSession, SigninStep


def sessions_of(core: Session, account_id: UUID) -> list[SigninSession]:
    """The account's sessions, the one that was seen last first."""
    lasting = (
        select(SigninSession)
        .where(SigninSession.account_id == account_id, SigninSession.expires_at > func.now())
        .order_by(SigninSession.last_seen_at.desc(), SigninSession.id)
    )
    return list(core.scalars(lasting))


def end_one(core: Session, account_id: UUID, session_id: UUID) -> bool:
    """End this session of the account and its grants; whether there was one."""
    theirs = (SigninSession.account_id == account_id, SigninSession.id == session_id)
    _revoke(core, Grant.account_id == account_id, Grant.signin_id == session_id)
    return core.scalar(delete(SigninSession).where(*theirs).returning(SigninSession.id)) is not None


def end_all(core: Session, account_id: UUID, *, but: UUID | None = None) -> int:
    """End the account's sessions and grants, those of no session too; the session `but` and its grants stay.

    How many sessions that were.
    """
    spared: Sequence[UUID] = [but] if but is not None else []
    _revoke(
        core,
        Grant.account_id == account_id,
        Grant.signin_id.is_(None) | Grant.signin_id.not_in(spared),
    )
    core.execute(delete(SigninStep).where(SigninStep.account_id == account_id))
    ended = delete(SigninSession).where(
        SigninSession.account_id == account_id, SigninSession.id.not_in(spared)
    )
    return len(core.execute(ended.returning(SigninSession.id)).all())


def _revoke(core: Session, *those: object) -> None:
    core.execute(
        update(Grant).where(*those, Grant.revoked_at.is_(None)).values(revoked_at=func.now())  # type: ignore[arg-type] # conditions
    )
