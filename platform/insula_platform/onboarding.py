"""Add one device from the command line."""

from __future__ import annotations

from typing import NamedTuple

from insula_tenants.broker import broker_access, new_password
from insula_tenants.database import Databases
from insula_tenants.devices import set_password
from insula_tenants.devices.onboarding import NewDevice, onboard
from insula_tenants.errors import InvalidInput
from insula_tenants.names import device_topic, mqtt_username
from insula_tenants.registry import resolve_tenant
from insula_tenants.settings import TenantsSettings
from insula_tenants.spaces import ensure_space


class AddedDevice(NamedTuple):
    """What a new device must be told. The password is shown here and never again."""

    broker: str
    username: str
    password: str
    topic: str


def renew_password(tenant: str, slug: str) -> AddedDevice:
    """Give the device a new password, at the registry and the broker; the old one is void."""
    settings = TenantsSettings()
    broker = broker_access(settings)
    databases = Databases(settings.service_urls(), pool_size=1)
    password = new_password()
    try:
        with databases.core() as core:
            context = resolve_tenant(core, tenant)
        with databases.tenant(context) as session:
            set_password(session, slug, password)
        broker.grant(tenant, slug, password)
    finally:
        databases.close()
    return _told(settings, tenant, slug, password)


def add_device(
    tenant: str,
    slug: str,
    *,
    name: str,
    place: str | None = None,
    time_zone: str = "UTC",
    gateway: str | None = None,
) -> AddedDevice:
    """Register the device, in the space `site/building/storey/space` if given, and admit it at the broker.

    `gateway` is the slug of a device that may publish for it.
    """
    settings = TenantsSettings()
    broker = broker_access(settings)
    databases = Databases(settings.service_urls(), pool_size=1)
    try:
        with databases.core() as core:
            context = resolve_tenant(core, tenant)
        space_id = None
        if place is not None:
            parts = [part.strip() for part in place.split("/")]
            if len(parts) != 4 or not all(parts):
                raise InvalidInput("place", f"{place!r} is no place: give site/building/storey/space")
            with databases.tenant(context) as session:
                space_id = ensure_space(
                    session,
                    site=parts[0],
                    building=parts[1],
                    storey=parts[2],
                    name=parts[3],
                    time_zone=time_zone,
                    level=0,
                )
        passwords = onboard(databases, broker, context, [NewDevice(slug, name, space_id, gateway=gateway)])
    finally:
        databases.close()
    return _told(settings, tenant, slug, passwords[slug])


def _told(settings: TenantsSettings, tenant: str, slug: str, password: str) -> AddedDevice:
    host, port, _ = settings.devices_broker
    return AddedDevice(
        broker=f"{host}:{port}",
        username=mqtt_username(tenant, slug),
        password=password,
        topic=device_topic(tenant, slug, "telemetry"),
    )
