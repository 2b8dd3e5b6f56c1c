"""Collect what is known of a device, for whoever asks why it is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_tenants.devices.credentials import CredentialView, list_credentials
from insula_tenants.devices.models import Device
from insula_tenants.devices.service import DeviceView, find_device
from insula_tenants.diagnostics.models import DeviceHealth
from insula_tenants.presence import PresenceView, presence_of
from insula_tenants.telemetry.models import DeadLetter

LOOK_BACK = timedelta(days=1)
"""Dead letters that are older say nothing of what is wrong today."""


@dataclass(frozen=True, slots=True)
class LastRefusal:
    """What the broker refused the device last."""

    at: datetime
    what: str
    """`connection`, `publish` or `subscribe`."""
    reason: str
    times: int
    """Refusals so far."""


@dataclass(frozen=True, slots=True)
class Letters:
    """Dead letters of a device with one reason."""

    reason: str
    letters: int
    last_received_at: datetime
    detail: str
    """Of the last one."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the device that is good at this moment."""

    serial: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of a device's way to the platform."""

    device: DeviceView
    presence: PresenceView
    last_message_at: datetime | None
    """Receipt of its last message of telemetry, up to half a minute ago."""
    refusal: LastRefusal | None
    dead_letters: tuple[Letters, ...]
    """Of the last day, the most recent reason first."""
    clock_offset: float | None
    """Seconds; below zero its clock is ahead."""
    clock_offset_at: datetime | None
    throttled: int
    throttled_at: datetime | None
    credentials: tuple[CredentialView, ...]
    """Its logins, newest first."""
    certificates: tuple[Certificate, ...]
    at: datetime
    """When this was collected."""


def collect(
    session: Session, tenant_slug: str, slug: str, *, certificates: Iterable[Certificate] = ()
) -> Findings:
    """Everything that is known of the device, with those of its `certificates` that are good.

    Raises `NotFound` when there is none of this slug.
    """
    device = find_device(session, slug)
    query = select(DeviceHealth).join(Device, Device.id == DeviceHealth.device_id).where(Device.slug == slug)
    health = session.scalar(query) or DeviceHealth(throttled=0, refused=0)
    refusal = None
    if health.refused_at is not None:
        refusal = LastRefusal(
            health.refused_at, health.refused_what or "", health.refused_reason or "", health.refused
        )
    return Findings(
        device=device,
        presence=presence_of(session, slug),
        last_message_at=health.last_message_at,
        refusal=refusal,
        dead_letters=tuple(_letters(session, slug)),
        clock_offset=health.clock_offset,
        clock_offset_at=health.clock_offset_at,
        throttled=health.throttled,
        throttled_at=health.throttled_at,
        credentials=tuple(list_credentials(session, tenant_slug, slug)),
        certificates=tuple(certificates),
        at=datetime.now(UTC),
    )


def _letters(session: Session, slug: str) -> Sequence[Letters]:
    ranked = (
        select(
            DeadLetter.reason,
            DeadLetter.detail,
            DeadLetter.last_received_at,
            func.sum(DeadLetter.times).over(partition_by=DeadLetter.reason).label("letters"),
            func.row_number()
            .over(partition_by=DeadLetter.reason, order_by=DeadLetter.last_received_at.desc())
            .label("place"),
        )
        .where(DeadLetter.device == slug, DeadLetter.last_received_at > func.now() - LOOK_BACK)
        .subquery()
    )
    query = (
        select(
            ranked.c.reason,
            ranked.c.letters,
            ranked.c.last_received_at,
            ranked.c.detail,
        )
        .where(ranked.c.place == 1)
        .order_by(ranked.c.last_received_at.desc())
    )
    return [Letters(reason, int(count), at, detail) for reason, count, at, detail in session.execute(query)]
