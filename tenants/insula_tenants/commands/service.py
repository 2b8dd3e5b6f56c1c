"""Give commands, follow them, and say when they are over.

::

    waiting ──► sent ──► succeeded, failed     the device's result
       │          ├────► timed_out             none came within the timeout
       ├──────────┴────► cancelled             somebody took it back
       └───────────────► failed, timed_out     nobody would have received it; the broker was away for too long

A command is committed before it is sent, and the worker sends what nobody could: an outbox.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from insula_tenants.audit import Actor
from insula_tenants.commands.models import Command, CommandState
from insula_tenants.devices.models import Device
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.presence.models import DevicePresence
from insula_tenants.twins.service import device_id_of
from insula_tenants.twins.states import check_state, encode

MAX_TIMEOUT = 86_400
"""Seconds."""
LONGEST_WAIT = timedelta(days=7)
"""How long a command waits for its device to come back."""
KEPT = timedelta(days=90)
"""How long a command is kept after its end."""
MOST_OPEN = 100
"""Commands of one device that are waiting or sent."""
OPEN: tuple[CommandState, ...] = ("waiting", "sent")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class NewCommand:
    """What a device is to do."""

    name: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    timeout: int = 60
    """Seconds the device has for its result, from now or, with `deliver_when_back`, from its return."""
    deliver_when_back: bool = False


class CommandView(NamedTuple):
    """A command as lists show it."""

    number: int
    """Its place among the tenant's commands."""
    id: UUID
    device: str
    name: str
    payload: dict[str, Any]
    state: CommandState
    timeout: int
    deliver_when_back: bool
    actor_kind: str
    actor: str
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    result: Any
    error: str | None
    result_at: datetime | None
    late: bool


class Order(NamedTuple):
    """A command as it goes to the broker."""

    id: UUID
    device: str
    payload: bytes
    expires_in: int | None
    """Seconds after which the broker may drop it; None when it is to be kept for the device."""
    deliver_when_back: bool


def add_command(session: Session, slug: str, new: NewCommand, *, actor: Actor) -> CommandView:
    """Keep a command that is to be sent. Raises `NotFound`, `InvalidInput` and `Conflict`."""
    if not _NAME.fullmatch(new.name):
        raise InvalidInput("name", "use 1 to 64 letters, digits and _ . -, beginning with a letter")
    if not 1 <= new.timeout <= MAX_TIMEOUT:
        raise InvalidInput("timeout", f"give 1 to {MAX_TIMEOUT} seconds")
    payload = check_state(dict(new.payload), field="payload")
    device_id = device_id_of(session, slug, to_be_told=True)
    waiting = select(func.count()).where(Command.device_id == device_id, Command.state.in_(OPEN))
    if (session.scalar(waiting) or 0) >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} commands of device {slug!r} are open: cancel some, or wait for results")
    command = Command(
        device_id=device_id,
        name=new.name,
        payload=payload,
        timeout=new.timeout,
        deliver_when_back=new.deliver_when_back,
        actor_kind=actor.kind,
        actor=actor.id,
        expires_at=None if new.deliver_when_back else datetime.now(UTC) + timedelta(seconds=new.timeout),
    )
    session.add(command)
    session.flush()
    return find_command(session, slug, command.key)


def find_command(session: Session, slug: str, command: UUID) -> CommandView:
    """A command of this device; `NotFound` when there is none."""
    row = session.execute(_views().where(Device.slug == slug, Command.key == command)).one_or_none()
    if row is None:
        raise NotFound(f"there is no command {command} of device {slug!r}")
    return CommandView(*row)


def list_commands(
    session: Session,
    slug: str,
    *,
    state: CommandState | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[CommandView]:
    """Commands of a device, newest first; those before the one with the number `before`."""
    query = _views().where(Command.device_id == device_id_of(session, slug))
    if state is not None:
        query = query.where(_state() == state)
    if before is not None:
        query = query.where(Command.id < before)
    return [CommandView(*row) for row in session.execute(query.order_by(Command.id.desc()).limit(limit))]


def cancel_command(session: Session, slug: str, command: UUID) -> CommandView:
    """Take a command back. Raises `NotFound`, and `Conflict` when it is over.

    One that the broker has may be on its way to the device, or done: its result is recorded as late.
    """
    view = find_command(session, slug, command)
    session.execute(
        select(Command.id).where(Command.id == view.number).with_for_update()  # a result may come just now
    )
    view = find_command(session, slug, command)
    if view.state not in OPEN:
        raise Conflict(f"the command is over: it has {view.state.replace('_', ' ')}")
    session.execute(
        update(Command)
        .where(Command.id == view.number)
        .values(state="cancelled", ended_at=func.now())
        .execution_options(synchronize_session=False)
    )
    return find_command(session, slug, command)


def order_of(view: CommandView) -> Order:
    """What is to be published of a command, on `commands/{id}` of its device."""
    document: dict[str, Any] = {
        "name": view.name,
        "payload": view.payload,
        "timeout": view.timeout,
        "sent_by": view.actor,
    }
    expires_in = None
    if not view.deliver_when_back and view.expires_at is not None:
        expires_in = max(1, round((view.expires_at - datetime.now(UTC)).total_seconds()))
    return Order(view.id, view.device, encode(document), expires_in, view.deliver_when_back)


def orders_waiting(session: Session, *, limit: int = 1000) -> list[Order]:
    """Commands that the broker does not have, in the order in which they were given.

    Those for a device that is away and that nobody kept for it wait on until it is back.
    """
    query = (
        _views()
        .outerjoin(DevicePresence, DevicePresence.device_id == Command.device_id)
        .where(
            Command.state == "waiting",
            Device.state != "decommissioned",
            or_(Command.expires_at > func.now(), Command.expires_at.is_(None)),
            # One that waits alone had nobody at the broker to be kept for; till the device is there again.
            or_(~Command.deliver_when_back, Command.sent_at.is_(None), DevicePresence.connected),
        )
    )
    rows = session.execute(query.order_by(Command.id).limit(limit)).all()
    return [order_of(CommandView(*row)) for row in rows]


def note_sent(session: Session, commands: Collection[UUID]) -> None:
    """The broker has these. For a device that is there, the time of those that wait for it begins."""
    connected = (
        select(DevicePresence.connected)
        .where(DevicePresence.device_id == Command.device_id)
        .scalar_subquery()
    )
    begins = func.coalesce(Command.expires_at, case((connected, from_now())))
    _note(session, commands, {"state": "sent", "sent_at": func.now(), "expires_at": begins})


def note_nobody(session: Session, order: Order) -> None:
    """The broker has nobody to keep this for: it fails, or waits for its device to come."""
    if order.deliver_when_back:
        _note(session, [order.id], {"sent_at": func.now()})
        return
    error = "the device is not connected, and has left no session to keep it for"
    _note(session, [order.id], {"state": "failed", "ended_at": func.now(), "error": error})


def time_out(session: Session) -> int:
    """End the commands whose time is over; how many."""
    ended = session.scalars(
        update(Command)
        .where(Command.state.in_(OPEN), _is_over())
        .values(state="timed_out", ended_at=func.now())
        .returning(Command.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


def tidy_commands(session: Session) -> None:
    """Forget commands that have been over for longer than `KEPT`."""
    session.execute(
        delete(Command)
        .where(Command.ended_at < func.now() - KEPT)
        .execution_options(synchronize_session=False)
    )


def from_now() -> ColumnElement[datetime]:
    """When a command is over whose time begins now."""
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, Command.timeout)


def _note(session: Session, commands: Collection[UUID], values: dict[str, Any]) -> None:
    """For those that wait still: a result, or whoever cancels, may have been faster."""
    session.execute(
        update(Command)
        .where(Command.key.in_(commands), Command.state == "waiting")
        .values(values)
        .execution_options(synchronize_session=False)
    )


def _is_over() -> ColumnElement[bool]:
    return or_(
        Command.expires_at <= func.now(),
        and_(Command.expires_at.is_(None), Command.created_at <= func.now() - LONGEST_WAIT),
    )


def _state() -> ColumnElement[str]:
    """The state at this moment: nobody waits for the worker to say that time is over."""
    return case((and_(Command.state.in_(OPEN), _is_over()), "timed_out"), else_=Command.state)


def _views() -> Select[*tuple[Any, ...]]:
    return select(
        Command.id,
        Command.key,
        Device.slug,
        Command.name,
        Command.payload,
        _state(),
        Command.timeout,
        Command.deliver_when_back,
        Command.actor_kind,
        Command.actor,
        Command.created_at,
        Command.sent_at,
        Command.expires_at,
        Command.ended_at,
        Command.result,
        Command.error,
        Command.result_at,
        Command.late,
    ).join(Device, Device.id == Command.device_id)
