"""Read a device's twin, change what it is to be, and bring that to the broker in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from insula_tenants.devices.models import Device
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.twins.models import DesiredOutbox, Twin
from insula_tenants.twins.states import State, check_json, check_state, delta, encode, merge, same

_ONE_AT_A_TIME = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('desired of ' || current_schema() || '/' || :device, 0))"
)
"""Of two that publish, the second waits, and then publishes what is there by now: the broker keeps the last
message that it got, so that one must be the newest."""


class TwinView(NamedTuple):
    """A twin as it is read."""

    device: str
    desired: State
    desired_version: int
    desired_at: datetime | None
    published: bool
    """Whether the broker has acknowledged the desired state."""
    reported: State
    reported_version: int
    reported_at: datetime | None

    @property
    def delta(self) -> State:
        """What of the desired state the device has not reported."""
        return delta(self.desired, self.reported)


def device_id_of(session: Session, slug: str, *, to_be_told: bool = False) -> int:
    """The id of the device; `NotFound`, and `Conflict` when it is out of use and `to_be_told` something."""
    row = session.execute(select(Device.id, Device.state).where(Device.slug == slug)).one_or_none()
    if row is None:
        raise NotFound(f"there is no device {slug!r}")
    if to_be_told and row.state == "decommissioned":
        raise Conflict(f"device {slug!r} is decommissioned: nothing can be told to it")
    return int(row.id)


def read_twin(session: Session, slug: str) -> TwinView:
    """The twin of a device, empty before anybody has said anything. Raises `NotFound`."""
    device_id = device_id_of(session, slug)
    twin = session.scalar(select(Twin).where(Twin.device_id == device_id))
    waits = session.get(DesiredOutbox, device_id) is not None
    return _view(slug, twin, published=not waits)


def change_desired(
    session: Session, slug: str, patch: Any, *, check: Callable[[TwinView], None] = lambda _twin: None
) -> tuple[TwinView, bool]:
    """Merge `patch` into what the device is to be; the twin, and whether that changed anything.

    `check` is shown the twin as it is, with nobody else changing it, and may raise. Raises `NotFound`,
    `Conflict` and `InvalidInput`.
    """
    check_json(patch, field="body")
    device_id = device_id_of(session, slug, to_be_told=True)
    session.execute(insert(Twin).values(device_id=device_id).on_conflict_do_nothing())
    twin = session.scalars(select(Twin).where(Twin.device_id == device_id).with_for_update()).one()
    waits = session.get(DesiredOutbox, device_id) is not None
    check(_view(slug, twin, published=not waits))
    desired = check_state(merge(twin.desired, patch), field="body")
    if twin.desired_version and same(desired, twin.desired):
        return _view(slug, twin, published=not waits), False
    twin.desired, twin.desired_at = desired, datetime.now(UTC)
    flag_modified(twin, "desired")  # to Python, 1 and true are equal
    twin.desired_version += 1
    session.flush()
    _put_out(session, select(Twin.device_id, Twin.desired_version).where(Twin.device_id == device_id))
    return _view(slug, twin, published=False), True


def publish_desired(session: Session, slug: str, send: Callable[[bytes], None]) -> bool:
    """Bring the desired state to the broker if it is not there; whether there was something to bring.

    `send` returns when the broker has acknowledged, and may raise: then the state stays in the outbox. It is
    called within the transaction, so it must not wait for long.
    """
    session.execute(_ONE_AT_A_TIME, {"device": slug})
    row = session.execute(
        select(Twin.device_id, Twin.desired, Twin.desired_version)
        .join(Device, Device.id == Twin.device_id)
        .join(DesiredOutbox, DesiredOutbox.device_id == Twin.device_id)
        .where(Device.slug == slug)
    ).one_or_none()
    if row is None:
        return False
    device_id, desired, version = row
    send(encode({"version": version, "state": desired}))
    # One that was changed meanwhile stays: its own publication waits for this transaction to end.
    session.execute(
        delete(DesiredOutbox).where(DesiredOutbox.device_id == device_id, DesiredOutbox.version <= version)
    )
    return True


def unpublished(session: Session, *, limit: int = 1000) -> list[str]:
    """Devices in use whose desired state the broker has not acknowledged, the longest waiting first."""
    query = (
        select(Device.slug)
        .join(DesiredOutbox, DesiredOutbox.device_id == Device.id)
        .where(Device.state != "decommissioned")
        .order_by(DesiredOutbox.since, Device.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def publish_again(session: Session, slugs: list[str] | None = None) -> int:
    """Put desired states back into the outbox, those of `slugs` or all; how many.

    For a broker that lost what it kept, and for a tenant that came from elsewhere.
    """
    found = select(Twin.device_id, Twin.desired_version).where(Twin.desired_version > 0)
    if slugs is not None:
        found = found.join(Device, Device.id == Twin.device_id).where(Device.slug.in_(slugs))
    return _put_out(session, found)


def _put_out(session: Session, found: Select[*tuple[Any, ...]]) -> int:
    statement = insert(DesiredOutbox).from_select(["device_id", "version"], found)
    put = session.scalars(
        statement.on_conflict_do_update(
            index_elements=["device_id"], set_={"version": statement.excluded.version}
        ).returning(DesiredOutbox.device_id)
    )
    return len(put.all())


def _view(slug: str, twin: Twin | None, *, published: bool) -> TwinView:
    if twin is None:
        return TwinView(slug, {}, 0, None, True, {}, 0, None)
    return TwinView(
        slug,
        twin.desired,
        twin.desired_version,
        twin.desired_at,
        published,
        twin.reported,
        twin.reported_version,
        twin.reported_at,
    )
