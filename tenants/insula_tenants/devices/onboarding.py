"""Bring devices in: registered, with a password of their own, admitted by the broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insula_tenants.broker.access import BrokerAccess, DeviceGrant
from insula_tenants.broker.passwords import new_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.service import NewPoint, create_device, set_password
from insula_tenants.quotas import allowance_of, claim_room


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to bring in."""

    slug: str
    name: str
    space_id: int | None = None
    points: tuple[NewPoint, ...] = ()
    gateway: str | None = None
    """Slug of the device that may publish for it, which is there already or before it in the list."""


def onboard(
    databases: Databases, broker: BrokerAccess, context: TenantContext, devices: Sequence[NewDevice]
) -> dict[str, str]:
    """Register the devices and admit them at the broker; returns each one's password, by slug.

    The passwords are shown here and never again: what is kept is their hash. The registry comes first, in
    one transaction: a device that the broker admits is always one that ingest knows. Errors as those of
    `create_device`, and `QuotaExceeded`, with none of the devices registered; when the broker cannot be
    reached, they stay registered, and `insula device password` admits them.
    """
    passwords = {device.slug: new_password() for device in devices}
    with databases.core() as core:
        allowance = allowance_of(core, context.id)
    with databases.tenant(context) as session:
        claim_room(
            session, allowance, devices=len(devices), points=sum(len(device.points) for device in devices)
        )
        for device in devices:
            create_device(
                session,
                device.slug,
                name=device.name,
                space_id=device.space_id,
                points=device.points,
                gateway=device.gateway,
            )
            set_password(session, device.slug, passwords[device.slug])
    broker.grant_many(DeviceGrant(context.slug, slug, password) for slug, password in passwords.items())
    return passwords
