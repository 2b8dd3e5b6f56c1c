"""Put the demo's tenants, people, devices and clients in place. Doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from insula_platform.demo.buildings import TENANTS, TRY_OUT, DemoTenant, Room, Sensor, sensors_of
from insula_platform.demo.energy import ensure_meters
from insula_platform.demo.secrets import DemoSecrets
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client
from insula_platform.people.models import Account
from insula_platform.people.service import add_member, create_account
from insula_tenants.administration import Administration
from insula_tenants.broker.access import BrokerAccess, DeviceGrant
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import Device, register, set_password
from insula_tenants.devices.onboarding import NewDevice
from insula_tenants.errors import NotFound
from insula_tenants.registry import create_tenant, resolve_closed_or_open
from insula_tenants.spaces import Building, Site, Space, ensure_space

PROGRAM_SCOPE = "devices:read devices:write readings:read readings:write dead-letters:read dead-letters:write"
"""What the demo's program may do: everything that the documents' command lines show."""

EXPECTED_INTERVAL = 900
"""Seconds: they publish more often, but of their past only a reading in a quarter of an hour."""


def seed(admin: Administration, databases: Databases, broker: BrokerAccess, secrets: DemoSecrets) -> None:
    """Everything the demo shows, for both tenants."""
    for tenant in TENANTS:
        context = _ensure_tenant(admin, databases, tenant)
        _ensure_people(databases, tenant, context, secrets)
        _ensure_devices(databases, broker, tenant, context, secrets)
        _ensure_client(databases, context, secrets)


def device_slug(room: Room, sensor: Sensor) -> str:
    """The id of a room's sensor."""
    return f"{room.slug}-{sensor.kind}"


def device_secret(tenant: str, device: str) -> str:
    """The name under which a device's password is kept."""
    return f"device {tenant}/{device}"


def _ensure_tenant(admin: Administration, databases: Databases, tenant: DemoTenant) -> TenantContext:
    try:
        with databases.core() as core:
            return resolve_closed_or_open(core, tenant.slug)
    except NotFound:
        create_tenant(admin, tenant.slug, tenant.name, plan="unlimited")
    with databases.core() as core:
        return resolve_closed_or_open(core, tenant.slug)


def _ensure_people(
    databases: Databases, tenant: DemoTenant, context: TenantContext, secrets: DemoSecrets
) -> None:
    for email, name, role in tenant.people:
        with databases.core() as core:
            account = core.scalar(select(Account).where(Account.email == email))
            if account is None:
                account = create_account(core, email, name, secrets.get(f"person {email}", 12))
            add_member(core, account, context, role)


def _ensure_devices(
    databases: Databases,
    broker: BrokerAccess,
    tenant: DemoTenant,
    context: TenantContext,
    secrets: DemoSecrets,
) -> None:
    with databases.tenant(context) as session:
        there = set(session.scalars(select(Device.slug)))
        spaces = {
            room.slug: ensure_space(
                session,
                site=tenant.site,
                building=tenant.building,
                time_zone=tenant.time_zone,
                storey=room.storey,
                level=room.level,
                name=room.name,
            )
            for room in tenant.rooms
        }
        _describe(session, tenant, spaces)
    wanted = [
        NewDevice(
            device_slug(room, sensor),
            f"{sensor.name}, {room.name}",
            spaces[room.slug],
            type=sensor.type,
            expected_interval=EXPECTED_INTERVAL,
        )
        for room in tenant.rooms
        for sensor in sensors_of(room)
    ]
    if tenant is TENANTS[0]:
        wanted.append(NewDevice(TRY_OUT, "My first device"))
    # The secrets come first and the broker is told every time: whatever an earlier start did not finish, and
    # whichever broker it ran, every device can connect.
    passwords = {device.slug: secrets.get(device_secret(tenant.slug, device.slug), 24) for device in wanted}
    with databases.tenant(context) as session:
        for device in wanted:
            if device.slug not in there:
                register(session, device)
            set_password(session, device.slug, passwords[device.slug])
        _ensure_meters(session, tenant, spaces)
    broker.grant_many(DeviceGrant(tenant.slug, slug, password) for slug, password in passwords.items())


def _describe(session: Session, tenant: DemoTenant, spaces: Mapping[str, int]) -> None:
    """Say what the places are like, as far as nobody has said anything else."""
    for room in tenant.rooms:
        space = session.get_one(Space, spaces[room.slug])
        space.area = space.area or room.area
        space.capacity = room.capacity if space.capacity is None else space.capacity
        space.brick_class = room.brick_class if space.brick_class == "Room" else space.brick_class
    building = _building(session, tenant)
    building.area = building.area or tenant.area
    site = session.get_one(Site, building.site_id)
    if site.latitude is None:
        site.latitude, site.longitude = tenant.location


def _building(session: Session, tenant: DemoTenant) -> Building:
    return session.scalars(select(Building).where(Building.name == tenant.building)).one()


def _ensure_meters(session: Session, tenant: DemoTenant, spaces: Mapping[str, int]) -> None:
    plant_room = next(room for room in tenant.rooms if room.slug == "plant-room")
    main, climate = (device_slug(plant_room, sensor) for sensor in sensors_of(plant_room))
    ensure_meters(
        session,
        building=_building(session, tenant).id,
        plant_room=spaces[plant_room.slug],
        main=main,
        climate=climate,
    )


def _ensure_client(databases: Databases, context: TenantContext, secrets: DemoSecrets) -> None:
    name = f"client {context.slug}"
    with databases.core() as core:
        if secrets.find(name) is not None:  # an earlier release may have given it less
            mine = Client.client_id == secrets.get(f"{name} id")
            core.execute(update(Client).where(mine).values(scope=PROGRAM_SCOPE))
            return
        client_id, secret = create_service_client(core, context, "Demo program", PROGRAM_SCOPE)
    secrets.put(f"{name} id", client_id)
    secrets.put(name, secret)
