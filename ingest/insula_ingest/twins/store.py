"""Keep what one tenant's devices said, in one transaction under the tenant's role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_ingest.codecs import Reason
from insula_ingest.messages import Message
from insula_ingest.twins.arrivals import Said, Sender, Unfit
from insula_tenants.commands.arrivals import NewResult, begin_time, store_result
from insula_tenants.devices import Device
from insula_tenants.diagnostics.health import Heard, note_heard
from insula_tenants.presence.arrivals import NewStatus, store_statuses
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.trimming import DeadLetterBounds, Trimming
from insula_tenants.telemetry.write import MAX_KEPT_PAYLOAD, NewDeadLetter
from insula_tenants.twins.arrivals import NewReport, store_reports


class Arrival(NamedTuple):
    """A message, and what it says."""

    sender: Sender
    message: Message
    said: Said | Unfit

    @property
    def at(self) -> datetime:
        """Its receipt."""
        return datetime.fromtimestamp(self.message.received_at / 1e6, UTC)


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is to be a dead letter."""

    arrival: Arrival
    unfit: Unfit


def store(session: Session, arrivals: Sequence[Arrival]) -> list[Refused]:
    """Keep what is fit, in order of receipt; what is not, and why."""
    ids = _device_ids(session, {arrival.sender.device for arrival in arrivals})
    refused: list[Refused] = []
    known: list[tuple[int, Arrival]] = []
    for arrival in arrivals:
        device_id = ids.get(arrival.sender.device)
        if isinstance(arrival.said, Unfit):
            refused.append(Refused(arrival, arrival.said))
        elif device_id is None:
            detail = f"device {arrival.sender.device!r} is not registered with this tenant"
            refused.append(Refused(arrival, Unfit(Reason.UNKNOWN_DEVICE, detail)))
        else:
            known.append((device_id, arrival))
    _store_statuses(session, known)
    refused += _store_reports(session, known)
    refused += _store_results(session, known)
    _note_heard(session, known)
    return sorted(refused, key=lambda each: each.arrival.message.received_at)


def store_letters(
    session: Session,
    schema: str,
    letters: Iterable[NewDeadLetter],
    trimming: Trimming,
    bounds: DeadLetterBounds,
) -> None:
    """Keep dead letters in the same transaction, and trim when it is time."""
    rows = size = 0
    connection = session.connection()
    for letter in letters:
        connection.exec_driver_sql(statement("insert_dead_letter"), letter.parameters())
        rows, size = rows + 1, size + min(len(letter.payload), MAX_KEPT_PAYLOAD)
    if rows and trimming.due(schema, rows=rows, size=size):
        connection.exec_driver_sql(
            statement("trim_dead_letters"), {"rows": bounds.rows, "bytes": bounds.bytes}
        )


def letter_of(refused: Refused) -> NewDeadLetter:
    """The message as a dead letter."""
    message = refused.arrival.message
    return NewDeadLetter(
        received_at=refused.arrival.at,
        topic=message.topic,
        device=refused.arrival.sender.device,
        reason=refused.unfit.reason.value,
        detail=refused.unfit.detail,
        payload=message.payload,
        payload_bytes=message.size,
    )


def _device_ids(session: Session, slugs: Iterable[str]) -> dict[str, int]:
    # Locked against deletion: what is stored refers to them.
    query = select(Device.slug, Device.id).where(Device.slug.in_(sorted(slugs))).order_by(Device.id)
    return {row.slug: row.id for row in session.execute(query.with_for_update(read=True, key_share=True))}


def _store_statuses(session: Session, known: Sequence[tuple[int, Arrival]]) -> None:
    statuses = [
        NewStatus(device_id, arrival.said, arrival.at)
        for device_id, arrival in known
        if isinstance(arrival.said, bool)
    ]
    if statuses and (come := store_statuses(session, statuses)):
        begin_time(session, come)


def _store_reports(session: Session, known: Sequence[tuple[int, Arrival]]) -> list[Refused]:
    reports = [
        (arrival, NewReport(device_id, arrival.said, arrival.at))
        for device_id, arrival in known
        if isinstance(arrival.said, dict)
    ]
    if not reports:
        return []
    refused = store_reports(session, [report for _, report in reports])
    return [Refused(reports[place][0], Unfit(Reason.TOO_LARGE, detail)) for place, detail in refused.items()]


def _store_results(session: Session, known: Sequence[tuple[int, Arrival]]) -> list[Refused]:
    refused = []
    for device_id, arrival in known:
        if isinstance(arrival.said, NewResult) and not store_result(
            session, device_id, arrival.said, arrival.at
        ):
            detail = f"the device was given no command {arrival.said.command}"
            refused.append(Refused(arrival, Unfit(Reason.UNKNOWN_COMMAND, detail)))
    return refused


def _note_heard(session: Session, known: Sequence[tuple[int, Arrival]]) -> None:
    """A last will is the broker's; everything else shows that the device lives."""
    heard = {
        arrival.sender.device: Heard(arrival.sender.device, arrival.at, None)
        for _, arrival in known
        if not isinstance(arrival.said, bool)
    }
    if heard:
        note_heard(session, list(heard.values()))
