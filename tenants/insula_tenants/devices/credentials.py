"""The logins of a device: made, listed, ended.

::

    good       ──► expiring      `expires_at` is set and lies ahead: the old login of a rotation
    good       ──► expired       its time is over; a broker that asks the registry refuses it from here on
    expired    ──► revoked       the broker was told, live sessions ended, the hash is gone

A number is never given a second time, and an ended login is not good again, with one exception: the operator
(`insula device password`) and the demo may open the first one anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants.broker.passwords import hash_password
from insula_tenants.devices.models import Device, DeviceCredential
from insula_tenants.errors import NotFound
from insula_tenants.names import mqtt_username

CredentialState = Literal["good", "expiring", "expired", "revoked"]


class CredentialView(NamedTuple):
    """A login, without its secret."""

    number: int
    username: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> CredentialState:
        """How good it is at this moment."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is None:
            return "good"
        return "expiring" if self.expires_at > datetime.now(UTC) else "expired"


class EndedLogin(NamedTuple):
    """A login whose time is over, and which the broker may still know."""

    device: str
    number: int


def set_password(session: Session, slug: str, password: str) -> None:
    """Keep the hash of the password of a device's first login, in place of an older one; it is good anew."""
    device_id = _device_id(session, slug)
    hashed = hash_password(password)
    values = {"password_hash": hashed.hash, "salt": hashed.salt, "iterations": hashed.iterations}
    statement = insert(DeviceCredential).values(device_id=device_id, number=1, **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id", "number"],
            set_={**values, "created_at": func.now(), "expires_at": None, "revoked_at": None},
        )
    )


def add_login(session: Session, slug: str, password: str) -> int:
    """Give a device one more login; its number. Of two at a time, the second waits for the first."""
    device_id = session.scalar(select(Device.id).where(Device.slug == slug).with_for_update())
    if device_id is None:
        raise NotFound(f"there is no device {slug!r}")
    highest = select(func.max(DeviceCredential.number)).where(DeviceCredential.device_id == device_id)
    number = (session.scalar(highest) or 0) + 1
    hashed = hash_password(password)
    session.add(
        DeviceCredential(
            device_id=device_id,
            number=number,
            password_hash=hashed.hash,
            salt=hashed.salt,
            iterations=hashed.iterations,
        )
    )
    session.flush()
    return number


def remove_login(session: Session, slug: str, number: int) -> None:
    """Forget a login that nobody was told of."""
    session.execute(
        delete(DeviceCredential)
        .where(DeviceCredential.device_id == _device_id(session, slug), DeviceCredential.number == number)
        .execution_options(synchronize_session=False)
    )


def list_credentials(session: Session, tenant_slug: str, slug: str) -> list[CredentialView]:
    """All logins that the device has or had, newest first; `NotFound` for a device that is none."""
    query = (
        select(
            DeviceCredential.number,
            DeviceCredential.created_at,
            DeviceCredential.expires_at,
            DeviceCredential.revoked_at,
        )
        .where(DeviceCredential.device_id == _device_id(session, slug))
        .order_by(DeviceCredential.number.desc())
    )
    return [
        CredentialView(number, mqtt_username(tenant_slug, slug, number), created, expires, revoked)
        for number, created, expires, revoked in session.execute(query)
    ]


def end_logins(
    session: Session, slug: str, at: datetime, *, only: int | None = None, but: int | None = None
) -> list[int]:
    """Let the device's logins end at an aware time, none later than it would anyway; those that do.

    `only` names the one to end, `but` the one to keep.
    """
    mine = (DeviceCredential.device_id == _device_id(session, slug)) & DeviceCredential.revoked_at.is_(None)
    if only is not None:
        mine &= DeviceCredential.number == only
    if but is not None:
        mine &= DeviceCredential.number != but
    ended = session.scalars(
        update(DeviceCredential)
        .where(mine)
        .values(expires_at=func.least(DeviceCredential.expires_at, at))
        .returning(DeviceCredential.number)
        .execution_options(synchronize_session=False)
    )
    return sorted(ended)


def note_revoked(session: Session, slug: str, numbers: Iterable[int]) -> None:
    """The broker has let go of these logins: what could be checked against is gone, too."""
    session.execute(
        update(DeviceCredential)
        .where(
            DeviceCredential.device_id == _device_id(session, slug),
            DeviceCredential.number.in_(list(numbers)),
            DeviceCredential.revoked_at.is_(None),
        )
        .values(
            revoked_at=func.now(),
            expires_at=func.least(DeviceCredential.expires_at, func.now()),
            password_hash=b"",
            salt=b"",
        )
        .execution_options(synchronize_session=False)
    )


def ended_logins(session: Session, *, only: str | None = None, limit: int = 1000) -> list[EndedLogin]:
    """Logins, of one device or of all, whose time is over and which were not revoked yet, oldest first."""
    query = (
        select(Device.slug, DeviceCredential.number)
        .join(Device, Device.id == DeviceCredential.device_id)
        .where(DeviceCredential.revoked_at.is_(None), DeviceCredential.expires_at <= func.now())
        .order_by(DeviceCredential.expires_at, DeviceCredential.id)
        .limit(limit)
    )
    if only is not None:
        query = query.where(Device.slug == only)
    return [EndedLogin(*row) for row in session.execute(query)]


def _device_id(session: Session, slug: str) -> int:
    device_id = session.scalar(select(Device.id).where(Device.slug == slug))
    if device_id is None:
        raise NotFound(f"there is no device {slug!r}")
    return device_id
