"""Register what a file came to, and admit it at the broker: together, and again after a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker.access import BrokerAccess, DeviceGrant
from insula_tenants.broker.passwords import PasswordHash, hash_password, verify_password
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.models import Device, DeviceCredential, Point
from insula_tenants.devices.points import NewPoint
from insula_tenants.devices.rotation import withdraw_voided
from insula_tenants.devices.service import NewDevice
from insula_tenants.devices.types import TypeView, list_types, points_with
from insula_tenants.errors import Conflict
from insula_tenants.quotas import allowance_of, claim_room

ADMITTED_AT_ONCE = 100
"""Between two reports of progress."""
HASHED_AT_ONCE = 500
"""Likewise."""
INSERTED_AT_ONCE = 500

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('device imports of ' || current_schema(), 0))")

Report = Callable[[str, int, int], None]
"""`(step, done, total)`."""


def register_all(
    databases: Databases,
    context: TenantContext,
    devices: Sequence[NewDevice],
    passwords: Mapping[str, str],
    *,
    actor: Actor,
    report: Report,
) -> None:
    """Register the devices with these passwords, all of them or, when one cannot be, none.

    Called again after a crash, or by a second worker while the first still works, it knows its own devices by
    their passwords. Raises `QuotaExceeded`, and `Conflict` when something is no longer as it was when the
    file was checked.
    """
    registered = _register(databases, context, devices, passwords, report)
    _record(databases, context, registered, actor)


def bring_in(
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    devices: Sequence[NewDevice],
    passwords: Mapping[str, str],
    *,
    actor: Actor,
    report: Report,
) -> None:
    """Register the devices with these passwords and admit them at the broker, now and to the end.

    Nobody goes on with it: when it fails or is stopped, none of the devices is there. What the broker has
    taken in until then it loses when it is next reconciled. Raises what `register_all` raises, and
    `BrokerError`.
    """
    registered = _register(databases, context, devices, passwords, report)
    try:
        admit_all(databases, broker, context, passwords, done=0, report=report)
        _record(databases, context, registered, actor)
    except BaseException:
        with databases.tenant(context) as session:
            session.execute(delete(Device).where(Device.slug.in_([device.slug for device in registered])))
        raise


def _register(
    databases: Databases,
    context: TenantContext,
    devices: Sequence[NewDevice],
    passwords: Mapping[str, str],
    report: Report,
) -> list[NewDevice]:
    """Those that were not there yet."""
    with databases.core() as core:
        allowance = allowance_of(core, context.id)
    # What takes long comes first: it is reported in the registry, for which no tenant's session may be held.
    hashes = _hashed(databases, context, passwords, report)
    with databases.tenant(context) as session:
        session.execute(_LOCK)
        theirs = _registered(session, passwords)
        wanted = [device for device in devices if device.slug not in theirs]
        types = {one.slug: one for one in list_types(session)}
        points = {device.slug: _points(types, device) for device in wanted}
        claim_room(session, allowance, devices=len(wanted), points=sum(map(len, points.values())))
        try:
            _insert(session, wanted, points, passwords, hashes)
        except IntegrityError:
            raise Conflict(
                "a device of the file was made meanwhile, or its space removed: upload the file again"
            ) from None
    return wanted


def _record(databases: Databases, context: TenantContext, devices: Sequence[NewDevice], actor: Actor) -> None:
    with databases.core() as core:
        for device in devices:
            told = {"name": device.name, "type": device.type, "space_id": device.space_id}
            audit.record(core, actor, "device.created", tenant=context.id, target=device.slug, detail=told)


def admit_all(
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    passwords: Mapping[str, str],
    *,
    done: int,
    report: Report,
) -> None:
    """Admit the devices at the broker, from the one after the first `done` on. Again is no error.

    One that was taken out of use since it was registered is not let in. Raises `BrokerError`.
    """
    grants = [DeviceGrant(context.slug, slug, password) for slug, password in passwords.items()]
    for start in range(done, len(grants), ADMITTED_AT_ONCE):
        part = grants[start : start + ADMITTED_AT_ONCE]
        broker.grant_many(part)
        withdraw_voided(databases, broker, context, [one.device for one in part])
        report("admitting", min(start + ADMITTED_AT_ONCE, len(grants)), len(grants))


def _insert(
    session: Session,
    devices: Sequence[NewDevice],
    points: Mapping[str, Sequence[NewPoint]],
    passwords: Mapping[str, str],
    hashes: Mapping[str, PasswordHash],
) -> None:
    """What `register` and `set_password` do for one device, in a handful of statements for many."""
    gateways = {device.gateway for device in devices if device.gateway is not None}
    known = select(Device.slug, Device.id).where(Device.slug.in_(gateways))
    ids: dict[str, int] = {row[0]: row[1] for row in session.execute(known)}
    for start in range(0, len(devices), INSERTED_AT_ONCE):
        part = devices[start : start + INSERTED_AT_ONCE]
        rows = [_device_row(device) for device in part]
        inserted = session.execute(insert(Device).returning(Device.slug, Device.id), rows)
        ids |= {row[0]: row[1] for row in inserted}
        if told := [(ids[one.slug], point) for one in part for point in points[one.slug]]:
            session.execute(insert(Point), [_point_row(*each) for each in told])
        logins = ((ids[one.slug], hashes.get(one.slug) or hash_password(passwords[one.slug])) for one in part)
        session.execute(insert(DeviceCredential), [_login_row(*each) for each in logins])
    if behind := [{"id": ids[one.slug], "gateway_id": ids[one.gateway]} for one in devices if one.gateway]:
        session.execute(update(Device), behind)


def _hashed(
    databases: Databases, context: TenantContext, passwords: Mapping[str, str], report: Report
) -> dict[str, PasswordHash]:
    """The hashes of the passwords of those devices that are not there yet."""
    with databases.tenant(context) as session:
        there = set(session.scalars(select(Device.slug).where(Device.slug.in_(list(passwords)))))
    wanted = [slug for slug in passwords if slug not in there]
    hashes: dict[str, PasswordHash] = {}
    for start in range(0, len(wanted), HASHED_AT_ONCE):
        hashes |= {slug: hash_password(passwords[slug]) for slug in wanted[start : start + HASHED_AT_ONCE]}
        report("registering", len(hashes), len(passwords))
    return hashes


def _points(types: Mapping[str, TypeView], device: NewDevice) -> tuple[NewPoint, ...]:
    if device.type is not None and device.type not in types:
        raise Conflict(f"the device type {device.type!r} was removed meanwhile: upload the file again")
    return points_with(types.get(device.type or ""), device.points)


def _device_row(device: NewDevice) -> dict[str, Any]:
    return {
        "slug": device.slug,
        "name": device.name,
        "space_id": device.space_id,
        "type": device.type,
        "state": "active",
        "expected_interval": device.expected_interval,
        "serial": device.serial,
        "labels": dict(device.labels),
    }


def _point_row(device_id: int, point: NewPoint) -> dict[str, Any]:
    states = list(point.states) if point.states else None
    return {"device_id": device_id, **asdict(point), "states": states}


def _login_row(device_id: int, hashed: PasswordHash) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "number": 1,
        "password_hash": hashed.hash,
        "salt": hashed.salt,
        "iterations": hashed.iterations,
    }


def _registered(session: Session, passwords: Mapping[str, str]) -> set[str]:
    """Those that an earlier attempt has registered; `Conflict` for one that is somebody else's."""
    query = (
        select(
            Device.slug, DeviceCredential.password_hash, DeviceCredential.salt, DeviceCredential.iterations
        )
        .outerjoin(
            DeviceCredential, (DeviceCredential.device_id == Device.id) & (DeviceCredential.number == 1)
        )
        .where(Device.slug.in_(list(passwords)))
    )
    found = set()
    for slug, hashed, salt, iterations in session.execute(query):
        kept = PasswordHash(bytes(hashed), bytes(salt), iterations) if hashed and salt else None
        if kept is None or not verify_password(passwords[slug], kept):
            raise Conflict(f"a device {slug!r} was made meanwhile: upload the file again")
        found.add(slug)
    return found
