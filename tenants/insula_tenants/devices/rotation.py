"""Change a device's logins: a new one beside the old, and none when it is to be shut out.

The registry is told first, the broker then. What the broker could not be told is found again by
`withdraw_ended`, which the worker calls: a login whose time is over and that is not noted as revoked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.broker.access import BrokerAccess, BrokerError
from insula_tenants.broker.passwords import new_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.credentials import (
    CredentialView,
    add_login,
    end_logins,
    ended_logins,
    list_credentials,
    note_revoked,
    remove_login,
)
from insula_tenants.devices.models import Device, DeviceCredential
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import mqtt_username

MAX_OVERLAP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Issued:
    """A login that was made. The password is told here and never again."""

    number: int
    username: str
    password: str
    ends: tuple[int, ...] = ()
    """Numbers of the logins that end because of it."""
    ends_at: datetime | None = None
    """When they do, aware."""


def rotate(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    slug: str,
    *,
    overlap: timedelta,
    actor: Actor = SYSTEM,
) -> Issued:
    """Give a device a new login; those it has go on for `overlap`, none longer than it would anyway.

    When the time is over `withdraw_ended` takes them away, without an overlap at once. Raises `NotFound`,
    `Conflict` for a device that is not in use, `InvalidInput` for an overlap that is none, and `BrokerError`,
    with everything as it was.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidInput("overlap", f"use 0 to {MAX_OVERLAP // timedelta(seconds=1)} seconds (90 days)")
    number, password = issue(databases, broker, context, slug)
    ends_at = datetime.now(UTC) + overlap
    with databases.tenant(context) as session:
        ends = end_logins(session, slug, ends_at, but=number)
    username = mqtt_username(context.slug, slug, number)
    detail = {"username": username, "ends": ends, "ends_at": ends_at.isoformat() if ends else None}
    audit.record(core, actor, "credential.rotated", tenant=context.id, target=slug, detail=detail)
    if not overlap:
        withdraw_ended(databases, broker, context, only=slug)
    return Issued(number, username, password, tuple(ends), ends_at if ends else None)


def issue(databases: Databases, broker: BrokerAccess, context: TenantContext, slug: str) -> tuple[int, str]:
    """One more login at the registry and the broker: its number and password. Errors as `rotate`."""
    password = new_password()
    with databases.tenant(context) as session:
        number = add_login(session, slug, password)
        _check_active(session, slug)
    try:
        with databases.tenant(context) as session:
            # The row's lock: nobody takes all of the device's logins away just before this one is there.
            _check_active(session, slug)
            broker.grant(context.slug, slug, password, mqtt_username(context.slug, slug, number))
    except (BrokerError, Conflict):
        with databases.tenant(context) as session:
            remove_login(session, slug, number)
        raise
    return number, password


def _check_active(session: Session, slug: str) -> None:
    """`Conflict` unless the device is in use; it is locked until the transaction ends."""
    state = session.scalar(select(Device.state).where(Device.slug == slug).with_for_update())
    if state != "active":
        raise Conflict(f"device {slug!r} is {state}: only one that is active has logins")


def revoke(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    slug: str,
    number: int,
    *,
    actor: Actor = SYSTEM,
) -> bool:
    """Take one of a device's logins, and end the session that is open by it. Again is no error.

    False when the broker could not be told: then the worker does. Raises `NotFound` for a login that the
    device never had.
    """
    with databases.tenant(context) as session:
        found = _credential(list_credentials(session, context.slug, slug), slug, number)
        if found.state == "revoked":
            return True
        end_logins(session, slug, datetime.now(UTC), only=number)
    audit.record(
        core,
        actor,
        "credential.revoked",
        tenant=context.id,
        target=slug,
        detail={"username": found.username},
    )
    return withdraw_ended(databases, broker, context, only=slug)


def withdraw_ended(
    databases: Databases, broker: BrokerAccess, context: TenantContext, *, only: str | None = None
) -> bool:
    """Take the logins whose time is over from the broker, of one device or of all the tenant's.

    False when the broker did not do it. May be repeated, and done by two at a time.
    """
    with databases.tenant(context) as session:
        ended: dict[str, list[int]] = {}
        for slug, number in ended_logins(session, only=only):
            ended.setdefault(slug, []).append(number)
    for slug, numbers in ended.items():
        # The row's lock keeps a device from coming back into use while all its logins are taken.
        with databases.tenant(context) as session:
            lock = select(Device.state).where(Device.slug == slug).with_for_update()
            state = session.scalar(lock)
            try:
                if state == "decommissioned":
                    broker.revoke(context.slug, slug)
                else:
                    for number in numbers:
                        broker.withdraw(context.slug, slug, mqtt_username(context.slug, slug, number))
            except BrokerError:
                return False
            note_revoked(session, slug, numbers)
    return True


def withdraw_voided(
    databases: Databases, broker: BrokerAccess, context: TenantContext, slugs: Collection[str]
) -> None:
    """Take those of these devices' first logins again that ended while the broker was told of them.

    To be called by who has granted them. Whoever ends one says so at the registry, then tells the broker:
    either that found the login there, or this look finds what was said. Raises `BrokerError`.
    """
    good = (
        select(Device.slug)
        .join(DeviceCredential, DeviceCredential.device_id == Device.id)
        .where(
            Device.slug.in_(slugs),
            Device.state == "active",
            DeviceCredential.number == 1,
            DeviceCredential.revoked_at.is_(None),
            DeviceCredential.expires_at.is_(None) | (DeviceCredential.expires_at > func.now()),
        )
    )
    with databases.tenant(context) as session:
        voided = set(slugs) - set(session.scalars(good))
    for slug in sorted(voided):
        broker.withdraw(context.slug, slug, mqtt_username(context.slug, slug))


def _credential(found: list[CredentialView], slug: str, number: int) -> CredentialView:
    for one in found:
        if one.number == number:
            return one
    raise NotFound(f"device {slug!r} has no login {number}")
