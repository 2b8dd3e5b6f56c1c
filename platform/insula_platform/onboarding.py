"""What `insula device …` does: the same calls as the API's, on the databases themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from insula_platform.devices.withdrawals import defer_withdrawal
from insula_platform.operator.commands import acting_operator
from insula_tenants import audit
from insula_tenants.broker import BrokerAccess, broker_access, new_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import changes, rotation
from insula_tenants.devices.credentials import set_password
from insula_tenants.devices.onboarding import NewDevice, admit
from insula_tenants.devices.rotation import Issued
from insula_tenants.errors import InvalidInput
from insula_tenants.names import device_topic, mqtt_username
from insula_tenants.registry import resolve_tenant
from insula_tenants.settings import TenantsSettings
from insula_tenants.spaces import ensure_space


class ToldDevice(NamedTuple):
    """What a device must be told. The password is shown here and never again."""

    broker: str
    username: str
    client_id: str
    password: str
    topic: str
    others_end_at: str | None = None
    """When the device's other logins end; None when they do not, or there are none."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A tenant, and what its devices are managed with."""

    settings: TenantsSettings
    databases: Databases
    broker: BrokerAccess
    context: TenantContext


@contextmanager
def opened(tenant: str) -> Iterator[Desk]:
    """The tenant's desk, by the environment; `NotFound` when there is no such tenant."""
    settings = TenantsSettings()
    broker = broker_access(settings)
    databases = Databases(settings.service_urls(), pool_size=2)  # the registry's and the tenant's, at a time
    try:
        with databases.core() as core:
            context = resolve_tenant(core, tenant)
        yield Desk(settings, databases, broker, context)
    finally:
        databases.close()


def add_device(desk: Desk, new: NewDevice, *, place: str | None, time_zone: str) -> ToldDevice:
    """Register the device, in the space `site/building/storey/space` if given, and admit it at the broker."""
    if place is not None:
        new = replace(new, space_id=_space(desk, place, time_zone))
    with desk.databases.core() as core:
        password = admit(core, desk.databases, desk.broker, desk.context, [new], actor=acting_operator())[
            new.slug
        ]
    return _told(desk, new.slug, mqtt_username(desk.context.slug, new.slug), password)


def renew_password(desk: Desk, slug: str) -> ToldDevice:
    """Give the device's first login a new password, at the registry and the broker; the old one is void."""
    password = new_password()
    with desk.databases.core() as core:
        with desk.databases.tenant(desk.context) as session:
            set_password(session, slug, password)
        desk.broker.grant(desk.context.slug, slug, password)
        audit.record(core, acting_operator(), "credential.renewed", tenant=desk.context.id, target=slug)
    return _told(desk, slug, mqtt_username(desk.context.slug, slug), password)


def rotate(desk: Desk, slug: str, overlap: timedelta) -> ToldDevice:
    """Give the device a new login; the worker takes the others when `overlap` is over."""
    with desk.databases.core() as core:
        issued = rotation.rotate(
            core,
            desk.databases,
            desk.broker,
            desk.context,
            slug,
            overlap=overlap,
            actor=acting_operator(),
        )
        if issued.ends:
            defer_withdrawal(core, desk.context, issued.ends_at)
    return _issued(desk, slug, issued)


def revoke(desk: Desk, slug: str, number: int) -> bool:
    """Take one of the device's logins; False when the broker will be told later, by the worker."""
    with desk.databases.core() as core:
        told = rotation.revoke(
            core, desk.databases, desk.broker, desk.context, slug, number, actor=acting_operator()
        )
        if not told:
            defer_withdrawal(core, desk.context)
    return told


def decommission(desk: Desk, slug: str) -> bool:
    """Take the device out of use; False when the broker will be told later, by the worker."""
    with desk.databases.core() as core:
        told = changes.decommission(
            core, desk.databases, desk.broker, desk.context, slug, actor=acting_operator()
        )
        if not told:
            defer_withdrawal(core, desk.context)
    return told


def reactivate(desk: Desk, slug: str) -> ToldDevice:
    """Bring a decommissioned device back, with a new login."""
    with desk.databases.core() as core:
        issued = changes.reactivate(
            core, desk.databases, desk.broker, desk.context, slug, actor=acting_operator()
        )
    return _issued(desk, slug, issued)


def _space(desk: Desk, place: str, time_zone: str) -> int:
    parts = [part.strip() for part in place.split("/")]
    if len(parts) != 4 or not all(parts):
        raise InvalidInput("place", f"{place!r} is no place: give site/building/storey/space")
    site, building, storey, name = parts
    with desk.databases.tenant(desk.context) as session:
        return ensure_space(
            session, site=site, building=building, storey=storey, name=name, time_zone=time_zone, level=0
        )


def _issued(desk: Desk, slug: str, issued: Issued) -> ToldDevice:
    told = _told(desk, slug, issued.username, issued.password)
    return told._replace(others_end_at=issued.ends_at.isoformat() if issued.ends_at else None)


def _told(desk: Desk, slug: str, username: str, password: str) -> ToldDevice:
    host, port, _ = desk.settings.devices_broker
    tenant = desk.context.slug
    return ToldDevice(
        broker=f"{host}:{port}",
        username=username,
        client_id=mqtt_username(tenant, slug),
        password=password,
        topic=device_topic(tenant, slug, "telemetry"),
    )
