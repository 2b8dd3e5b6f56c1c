"""Bring devices in: registered, with a password of their own, admitted by the broker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import delete
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.broker.access import BrokerAccess, BrokerError, DeviceGrant
from insula_tenants.broker.passwords import new_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.credentials import set_password
from insula_tenants.devices.models import Device
from insula_tenants.devices.rotation import withdraw_voided
from insula_tenants.devices.service import NewDevice, register
from insula_tenants.devices.types import check_type, points_with
from insula_tenants.quotas import Allowance, allowance_of, claim_room

__all__ = ["NewDevice", "admit", "onboard"]


def onboard(
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    devices: Sequence[NewDevice],
    *,
    actor: Actor = SYSTEM,
) -> dict[str, str]:
    """`admit` in a transaction of the core of its own."""
    with databases.core() as core:
        return admit(core, databases, broker, context, devices, actor=actor)


def admit(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    devices: Sequence[NewDevice],
    *,
    actor: Actor = SYSTEM,
) -> dict[str, str]:
    """Register the devices and admit them at the broker; returns each one's password, by slug.

    The passwords are shown here and never again: what is kept is their hash. The registry comes first, in
    one transaction: a device that the broker admits is always one that ingest knows. Errors as those of
    `register`, `QuotaExceeded`, and `BrokerError`: then none of the devices is registered, so that the same
    call may be repeated. What the broker has taken in until then it loses when it is next reconciled.
    """
    passwords = {device.slug: new_password() for device in devices}
    allowance = allowance_of(core, context.id)
    with databases.tenant(context) as session:
        _register_all(session, allowance, devices, passwords)
    try:
        broker.grant_many(DeviceGrant(context.slug, slug, password) for slug, password in passwords.items())
    except BrokerError:
        with databases.tenant(context) as session:
            session.execute(delete(Device).where(Device.slug.in_(list(passwords))))
        raise
    with suppress(BrokerError):  # what it does not hear now it hears when it is next reconciled
        withdraw_voided(databases, broker, context, passwords)
    for device in devices:
        told = {"name": device.name, "type": device.type, "space_id": device.space_id}
        audit.record(core, actor, "device.created", tenant=context.id, target=device.slug, detail=told)
    return passwords


def _register_all(
    session: Session, allowance: Allowance, devices: Sequence[NewDevice], passwords: dict[str, str]
) -> None:
    whole = [replace(one, points=points_with(check_type(session, one.type), one.points)) for one in devices]
    claim_room(session, allowance, devices=len(whole), points=sum(len(one.points) for one in whole))
    for device in whole:
        register(session, device)
        set_password(session, device.slug, passwords[device.slug])
