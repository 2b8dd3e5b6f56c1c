"""A tenant's dead letters: look at them, have them processed again, throw them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Delete, Select, Update, delete, func, select, update
from sqlalchemy.orm import Session

from insula_tenants.devices.models import Device
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.telemetry.models import DeadLetter, DeadLetterDrops
from insula_tenants.telemetry.reasons import Reason

MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters: all that fit everything that is said. Times count when it last came."""

    device: str | None = None
    reason: Reason | None = None
    starting: datetime | None = None
    """Included."""
    ending: datetime | None = None
    """Not included."""
    within: frozenset[int] | None = None
    """Only of devices in these spaces; None for those of devices that nobody knows, too."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for SQL."""
        found: list[ColumnElement[bool]] = []
        if self.device is not None:
            found.append(DeadLetter.device == self.device)
        if self.reason is not None:
            found.append(DeadLetter.reason == self.reason)
        if self.starting is not None:
            found.append(DeadLetter.last_received_at >= self.starting)
        if self.ending is not None:
            found.append(DeadLetter.last_received_at < self.ending)
        if self.within is not None:
            devices = select(Device.slug).where(Device.space_id.in_(self.within))
            found.append(DeadLetter.device.in_(devices))
        return found


ALL = Which()
"""Every dead letter of the tenant."""


class LetterView(NamedTuple):
    """A dead letter as lists show it: without its payload."""

    id: int
    first_received_at: datetime
    last_received_at: datetime
    times: int
    topic: str
    device: str
    reason: str
    detail: str
    payload_bytes: int
    cut_off: bool
    """Whether only the beginning of the payload was kept."""
    replay_requested_at: datetime | None
    replays: int


class Summary(NamedTuple):
    """What a tenant's dead letters come to."""

    reasons: dict[str, int]
    """Dead letters by reason, the most frequent first."""
    letters: int
    payload_bytes: int
    """Bytes of payloads that are kept."""
    dropped: int
    """Those that went because there were too many."""
    last_dropped_at: datetime | None


_CUT_OFF = func.length(DeadLetter.payload) < DeadLetter.payload_bytes


def list_letters(
    session: Session, which: Which, *, before: int | None = None, limit: int = 100
) -> list[LetterView]:
    """Dead letters, those that came first last; those with a smaller id than `before`."""
    query = _view().where(*which.conditions())
    if before is not None:
        query = query.where(DeadLetter.id < max(0, min(before, MAX_ID)))
    return [LetterView(*row) for row in session.execute(query.order_by(DeadLetter.id.desc()).limit(limit))]


def find_letter(session: Session, letter_id: int, which: Which = ALL) -> tuple[LetterView, bytes]:
    """A dead letter and its payload; `NotFound` when there is none of this id among those that match."""
    row = session.execute(_view().where(DeadLetter.id == letter_id, *which.conditions())).one_or_none()
    payload = session.scalar(select(DeadLetter.payload).where(DeadLetter.id == letter_id))
    if row is None or payload is None:
        raise _not_found(letter_id)
    return LetterView(*row), payload


def summarize(session: Session) -> Summary:
    """Counts, sizes, and what was dropped."""
    rows = session.execute(
        select(DeadLetter.reason, func.count(), func.sum(func.length(DeadLetter.payload)))
        .group_by(DeadLetter.reason)
        .order_by(func.count().desc(), DeadLetter.reason)
    ).all()
    drops = session.execute(select(DeadLetterDrops.letters, DeadLetterDrops.last_dropped_at)).one()
    return Summary(
        reasons={reason: count for reason, count, _ in rows},
        letters=sum(count for _, count, _ in rows),
        payload_bytes=sum(int(size) for _, _, size in rows),
        dropped=drops[0],
        last_dropped_at=drops[1],
    )


def request_replay(session: Session, which: Which) -> Sequence[int]:
    """Mark those that match to be processed again; their ids. Those that are cut off are left alone.

    Ingest does it once it is told (`broker.topics`); one that is marked already is marked anew.
    """
    return _run(session, _mark().where(*which.conditions(), ~_CUT_OFF))


def request_replay_of(session: Session, letter_id: int, which: Which = ALL) -> None:
    """Mark one of those that match.

    Raises `NotFound`, and `Conflict` when only the beginning of its payload was kept.
    """
    letter, _ = find_letter(session, letter_id, which)
    if letter.cut_off:
        raise Conflict(
            f"only the beginning of this payload of {letter.payload_bytes} bytes was kept: "
            "have the device send it again, or discard it"
        )
    _run(session, _mark().where(DeadLetter.id == letter_id))


def withdraw_replay(session: Session, letters: Sequence[int]) -> None:
    """Take back `request_replay`: ingest could not be told."""
    session.execute(
        update(DeadLetter).where(DeadLetter.id.in_(letters)).values(replay_requested_at=None),
        execution_options={"synchronize_session": False},
    )


def discard(session: Session, which: Which) -> int:
    """Throw away those that match; how many they were."""
    return len(_run(session, delete(DeadLetter).where(*which.conditions()).returning(DeadLetter.id)))


def discard_one(session: Session, letter_id: int, which: Which = ALL) -> None:
    """Throw one away; `NotFound` when there is none of this id among those that match."""
    wanted = delete(DeadLetter).where(DeadLetter.id == letter_id, *which.conditions())
    if not _run(session, wanted.returning(DeadLetter.id)):
        raise _not_found(letter_id)


def _view() -> Select[*tuple[Any, ...]]:
    return select(
        DeadLetter.id,
        DeadLetter.first_received_at,
        DeadLetter.last_received_at,
        DeadLetter.times,
        DeadLetter.topic,
        DeadLetter.device,
        DeadLetter.reason,
        DeadLetter.detail,
        DeadLetter.payload_bytes,
        _CUT_OFF,
        DeadLetter.replay_requested_at,
        DeadLetter.replays,
    )


def _mark() -> Update:
    return update(DeadLetter).values(replay_requested_at=func.now()).returning(DeadLetter.id)


def _run(session: Session, statement: Update | Delete) -> Sequence[int]:
    return session.scalars(statement, execution_options={"synchronize_session": False}).all()


def _not_found(letter_id: int) -> NotFound:
    return NotFound(f"there is no dead letter {letter_id}: it may have been stored, discarded or dropped")
