"""Change a device, take it out of use, and bring it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.broker.access import BrokerAccess
from insula_tenants.certificates import revoke_device
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.credentials import end_logins
from insula_tenants.devices.models import Device, Point
from insula_tenants.devices.points import add_points, check_interval
from insula_tenants.devices.rotation import Issued, issue, withdraw_ended
from insula_tenants.devices.service import (
    DeviceView,
    assign_gateway,
    check_labels,
    check_name,
    check_serial,
    check_space_exists,
    find_device,
)
from insula_tenants.devices.types import check_type
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.names import mqtt_username
from insula_tenants.quotas import Allowance, allowance_of, claim_room

CHANGEABLE = frozenset({"name", "space_id", "type", "gateway", "expected_interval", "serial", "labels"})


def lock_device(session: Session, slug: str) -> DeviceView:
    """The device as it is, and stays until the transaction ends; `NotFound` when there is none."""
    session.execute(select(Device.id).where(Device.slug == slug).with_for_update())
    return find_device(session, slug)


def change_device(
    session: Session, slug: str, changes: Mapping[str, Any], *, allowance: Allowance
) -> DeviceView:
    """Change what `changes` names, one or more of `CHANGEABLE`; the rest stays.

    Another space is a move: readings stay with the device. Another type brings its points as far as the
    device lacks them, for which there must be room, and takes none away. Raises `NotFound`, `InvalidInput`
    for what cannot be so, `Conflict` for a device that is out of use, `QuotaExceeded`.
    """
    if unknown := changes.keys() - CHANGEABLE:
        raise InvalidInput(min(unknown), f"a device's {min(unknown)} cannot be changed")
    device = session.scalar(select(Device).where(Device.slug == slug).with_for_update())
    if device is None:
        raise NotFound(f"there is no device {slug!r}")
    if device.state == "decommissioned":
        raise Conflict(f"device {slug!r} is decommissioned: reactivate it first")
    _check(session, changes)
    if "type" in changes:
        _take_type(session, device, changes["type"], allowance)
    for field in changes.keys() - {"gateway"}:
        setattr(device, field, changes[field])
    session.flush()
    if "gateway" in changes:
        assign_gateway(session, slug, changes["gateway"])
    return find_device(session, slug)


def decommission(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    slug: str,
    *,
    actor: Actor = SYSTEM,
) -> bool:
    """Take a device out of use: logins and certificates are void, its session ended, its readings stay.

    Its slug stays taken, so that its history is never another's, and it publishes through no gateway any
    more. Again is no error. False when the broker could not be told: then the worker does.
    """
    with databases.tenant(context) as session:
        device = session.scalar(select(Device).where(Device.slug == slug).with_for_update())
        if device is None:
            raise NotFound(f"there is no device {slug!r}")
        if device.state == "decommissioned":
            return True
        device.state = "decommissioned"
        device.decommissioned_at = datetime.now(UTC)
        device.gateway_id = None
        session.flush()
        end_logins(session, slug, datetime.now(UTC))
    audit.record(core, actor, "device.decommissioned", tenant=context.id, target=slug)
    told = withdraw_ended(databases, broker, context, only=slug)
    # After the broker, which may take certificates back in a transaction of its own: this one would block it.
    revoke_device(core, context, slug, actor=actor)
    return told


def reactivate(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    slug: str,
    *,
    actor: Actor = SYSTEM,
) -> Issued:
    """Bring a decommissioned device back into use, with a new login; its history goes on.

    Raises `NotFound`, `Conflict` for a device that is in use, `QuotaExceeded`, and `BrokerError`, with
    everything as it was.
    """
    allowance = allowance_of(core, context.id)
    with databases.tenant(context) as session:
        device = session.scalar(select(Device).where(Device.slug == slug).with_for_update())
        if device is None:
            raise NotFound(f"there is no device {slug!r}")
        if device.state != "decommissioned":
            raise Conflict(f"device {slug!r} is {device.state}: only a decommissioned one is reactivated")
        claim_room(session, allowance, devices=1)
        since, device.state, device.decommissioned_at = device.decommissioned_at, "active", None
    try:
        number, password = issue(databases, broker, context, slug)
    except Exception:
        with databases.tenant(context) as session:
            device = session.scalar(select(Device).where(Device.slug == slug).with_for_update())
            if device is not None:
                device.state, device.decommissioned_at = "decommissioned", since
        raise
    audit.record(core, actor, "device.reactivated", tenant=context.id, target=slug)
    return Issued(number, mqtt_username(context.slug, slug, number), password)


def _check(session: Session, changes: Mapping[str, Any]) -> None:
    checks: dict[str, Callable[[Any], None]] = {
        "name": check_name,
        "space_id": lambda space_id: check_space_exists(session, space_id),
        "serial": check_serial,
        "labels": check_labels,
        "expected_interval": check_interval,
    }
    for field, check in checks.items():
        if field in changes:
            check(changes[field])


def _take_type(session: Session, device: Device, slug: str | None, allowance: Allowance) -> None:
    view = check_type(session, slug)
    if view is None:
        return
    there = set(session.scalars(select(Point.name).where(Point.device_id == device.id)))
    missing = [point for point in view.points if point.name not in there]
    if missing:
        claim_room(session, allowance, points=len(missing))
        add_points(session, device.id, missing)
