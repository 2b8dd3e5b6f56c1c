"""Devices that announce themselves: held until somebody, or a rule, lets them in.

::

    waiting  ──► approved   by a person, or by the key's rule
    approved ──► enrolled   the device has fetched its login: the one time that it is told
    enrolled ──► waiting    it announced itself anew, having lost its login: what it has goes on meanwhile
    waiting  ──► rejected   and it stays so, however often it asks

What holds a device's place is its serial number under the key it came with. A serial number is no secret: who
has a fleet's key can say any. That is why a rule may approve what is new, and never what is there already.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from hmac import compare_digest
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker.access import BrokerAccess
from insula_tenants.certificates import revoke_device
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.models import Device
from insula_tenants.devices.onboarding import admit
from insula_tenants.devices.rotation import rotate
from insula_tenants.devices.service import NewDevice, check_name, check_serial, check_space_exists
from insula_tenants.devices.types import check_type
from insula_tenants.enrolment.keys import key_digest
from insula_tenants.enrolment.models import Enrolment, EnrolmentState, ProvisioningKey
from insula_tenants.errors import Conflict, InvalidInput, NotAllowed, NotFound
from insula_tenants.names import check_slug, mqtt_username
from insula_tenants.registry import resolve_tenant_by_id
from insula_tenants.spaces.models import Space

SLUG_LENGTH = 40
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")


class KeyRefused(NotAllowed):
    """The provisioning key is not good."""

    status = 401
    type = "provisioning-key-refused"

    def __init__(self) -> None:
        """One answer for all."""
        super().__init__("the provisioning key is unknown, revoked or expired: ask the tenant for a new one")
        self.headers = {"WWW-Authenticate": 'Bearer realm="insula enrolment"'}


class EnrolmentRejected(NotAllowed):
    """The device was rejected."""

    type = "enrolment-rejected"


class Announced(NamedTuple):
    """What a device that announced itself is told."""

    tenant: str
    id: UUID
    state: EnrolmentState
    secret: str
    """With which it fetches its login; an earlier one is void."""


class Fetched(NamedTuple):
    """What a device finds that asks for its login: None, and None, as long as it waits."""

    context: TenantContext
    device: str | None = None
    username: str | None = None
    password: str | None = None


class EnrolmentView(NamedTuple):
    """A device that announced itself, as the tenant sees it."""

    id: UUID
    key_id: UUID
    serial: str
    type: str | None
    name: str | None
    state: EnrolmentState
    device: str | None
    space_id: int | None
    address: str | None
    times: int
    created_at: datetime
    asked_at: datetime
    decided_at: datetime | None
    enrolled_at: datetime | None


def announce(
    core: Session,
    databases: Databases,
    key_secret: str,
    *,
    serial: str,
    device_type: str | None,
    name: str | None,
    address: str,
) -> Announced:
    """Take in a device that says who it is.

    Raises `KeyRefused`, `InvalidInput`, `EnrolmentRejected`, `Conflict` when the key has let in all it may,
    and what a closed tenant raises.
    """
    key = core.scalar(
        select(ProvisioningKey).where(ProvisioningKey.key_hash == key_digest(key_secret)).with_for_update()
    )
    now = datetime.now(UTC)
    if key is None or key.revoked_at is not None or key.expires_at <= now:
        raise KeyRefused
    context = resolve_tenant_by_id(core, key.tenant_id)
    _check_announcement(key, serial, device_type, name)
    secret = secrets.token_urlsafe(32)
    with databases.tenant(context) as session:
        check_type(session, device_type)
        found = session.scalar(_enrolment(key.id, serial))
        if found is None:
            if key.devices >= key.most_devices:
                raise Conflict(
                    f"the provisioning key has let in its {key.most_devices} devices: ask for another one"
                )
            key.devices += 1
            found = Enrolment(id=uuid4(), key_id=key.id, serial=serial, times=0, state="waiting")
            session.add(found)
        elif found.state == "rejected":
            raise EnrolmentRejected(f"the device {serial!r} was rejected: ask the tenant")
        else:
            # What was approved before was for whoever asked then.
            found.state, found.decided_at = "waiting", None
        found.type, found.name, found.address, found.asked_at = device_type, name, address, now
        found.times += 1
        found.secret_hash = key_digest(secret)
        if found.device is None and _is_approved(key, serial):
            _approve_by_rule(session, key, found)
        state, enrolment_id = found.state, found.id
    key.last_used_at = now
    actor = Actor("system", "enrolment", address)
    told = {"serial": serial, "key": key.name, "state": state}
    audit.record(core, actor, "enrolment.announced", tenant=context.id, target=str(enrolment_id), detail=told)
    return Announced(context.slug, enrolment_id, state, secret)


def fetch_login(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    key_secret: str,
    enrolment_id: UUID,
    secret: str,
    *,
    address: str,
) -> Fetched:
    """The login of a device that was approved, made now and told this once; nothing while it waits.

    Raises `KeyRefused`, `NotFound` for an enrolment that is none of the key's or whose secret is another,
    `EnrolmentRejected`, `Conflict` when the login was fetched or its name is another device's by now, and
    what `admit` raises: then it may be tried again.
    """
    # The key's row is the lock: of two that fetch at a time, the second finds it fetched.
    key = core.scalar(
        select(ProvisioningKey).where(ProvisioningKey.key_hash == key_digest(key_secret)).with_for_update()
    )
    if key is None or key.revoked_at is not None or key.expires_at <= datetime.now(UTC):
        raise KeyRefused
    context = resolve_tenant_by_id(core, key.tenant_id)
    actor = Actor("system", "enrolment", address)
    with databases.tenant(context) as session:
        found = session.get(Enrolment, enrolment_id, with_for_update=True)
        if (
            found is None
            or found.key_id != key.id
            or not compare_digest(found.secret_hash, key_digest(secret))
        ):
            raise NotFound(f"there is no enrolment {str(enrolment_id)!r}")
        if found.state == "rejected":
            raise EnrolmentRejected(f"the device {found.serial!r} was rejected: ask the tenant")
        if found.state == "enrolled":
            raise Conflict("the login was fetched before: announce the device anew to get another")
        if found.state == "waiting" or found.device is None:
            return Fetched(context)
        slug, before = found.device, found.enrolled_at
        is_there = session.scalar(select(Device.id).where(Device.slug == slug)) is not None
        is_anothers = is_there and before is None
        if is_anothers:
            # It was made since this one was approved: what has its name now is not to be handed over.
            found.state, found.device, found.decided_at = "waiting", None, None
        else:
            # Said before it is done: who rejects it from here on is told that it is a device.
            found.state, found.enrolled_at = "enrolled", datetime.now(UTC)
        new = NewDevice(
            slug, found.name or slug, space_id=found.space_id, type=found.type, serial=found.serial
        )
    if is_anothers:
        raise Conflict(f"a device {slug!r} was made meanwhile: this one waits to be approved as another")
    try:
        username, password = _let_in(core, databases, broker, context, new, is_there=is_there, actor=actor)
    except Exception:
        with databases.tenant(context) as session:
            untold = session.get_one(Enrolment, enrolment_id, with_for_update=True)
            untold.state, untold.enrolled_at = "approved", before
        raise
    told = {"serial": new.serial, "enrolment": str(enrolment_id)}
    audit.record(core, actor, "device.enrolled", tenant=context.id, target=slug, detail=told)
    return Fetched(context, slug, username, password)


def _let_in(
    core: Session,
    databases: Databases,
    broker: BrokerAccess,
    context: TenantContext,
    new: NewDevice,
    *,
    is_there: bool,
    actor: Actor,
) -> tuple[str, str]:
    """A login for the device, its first or, where it is there, the only one from now on."""
    if not is_there:
        password = admit(core, databases, broker, context, [new], actor=actor)[new.slug]
        return mqtt_username(context.slug, new.slug), password
    issued = rotate(core, databases, broker, context, new.slug, overlap=timedelta(0), actor=actor)
    if broker.takes == "certificate":
        revoke_device(core, context, new.slug, "superseded", actor=actor)
    return issued.username, issued.password


def approve(
    core: Session,
    session: Session,
    context: TenantContext,
    enrolment_id: UUID,
    *,
    device: str,
    name: str | None = None,
    space_id: int | None = None,
    actor: Actor,
) -> EnrolmentView:
    """Let a device in that waits, as `device`: a new one, or the one it was before.

    Raises `NotFound`, `InvalidInput`, `Conflict` when it does not wait, or `device` is another's.
    """
    found = _held(session, enrolment_id)
    if found.state != "waiting":
        raise Conflict(f"the device {found.serial!r} does not wait: it is {found.state}")
    check_slug(device, field="device")
    check_space_exists(session, space_id)
    if name is not None:
        check_name(name)
        found.name = name
    if found.enrolled_at is None:
        _check_free(session, device)
    elif device != found.device:
        raise Conflict(f"the device {found.serial!r} is {found.device!r}: approve it as that")
    found.device, found.state, found.decided_at = device, "approved", datetime.now(UTC)
    found.space_id = space_id
    session.flush()
    told = {"serial": found.serial, "device": device, "space_id": space_id}
    audit.record(core, actor, "enrolment.approved", tenant=context.id, target=str(enrolment_id), detail=told)
    return _view(found)


def reject(
    core: Session, session: Session, context: TenantContext, enrolment_id: UUID, *, actor: Actor
) -> EnrolmentView:
    """Turn a device away that waits or was approved; it may not ask again. One that is enrolled is a device:
    decommission that. Raises `NotFound`, `Conflict`.
    """
    found = _held(session, enrolment_id)
    if found.state == "enrolled":
        raise Conflict(f"the device {found.device!r} is enrolled: decommission it")
    if found.state != "rejected":
        found.state, found.decided_at = "rejected", datetime.now(UTC)
        session.flush()
        told = {"serial": found.serial}
        audit.record(
            core, actor, "enrolment.rejected", tenant=context.id, target=str(enrolment_id), detail=told
        )
    return _view(found)


def list_enrolments(
    session: Session,
    *,
    state: EnrolmentState | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[EnrolmentView]:
    """Devices that announced themselves, by the time they first did, those after `after`, at most `limit`."""
    query = select(Enrolment).order_by(Enrolment.created_at, Enrolment.id).limit(limit)
    if state is not None:
        query = query.where(Enrolment.state == state)
    if after is not None:
        query = query.where(tuple_(Enrolment.created_at, Enrolment.id) > after)
    return [_view(row) for row in session.scalars(query)]


def _check_announcement(key: ProvisioningKey, serial: str, device_type: str | None, name: str | None) -> None:
    check_serial(serial)
    if name is not None:
        check_name(name)
    if key.device_types and device_type not in key.device_types:
        raise InvalidInput("type", f"with this key a device is one of {', '.join(key.device_types)}")


def _enrolment(key_id: UUID, serial: str) -> Select[Enrolment]:
    return select(Enrolment).where(Enrolment.key_id == key_id, Enrolment.serial == serial).with_for_update()


def _is_approved(key: ProvisioningKey, serial: str) -> bool:
    return any(fnmatchcase(serial, pattern) for pattern in key.approved_serials)


def _approve_by_rule(session: Session, key: ProvisioningKey, found: Enrolment) -> None:
    """Name it after its serial number; where that name is taken, a person decides."""
    tail = _NOT_IN_A_SLUG.sub("-", found.serial.lower()).strip("-")
    slug = f"{key.prefix}-{tail}"[:SLUG_LENGTH].rstrip("-")
    if not tail or _is_taken(session, slug):
        return
    # The space may be gone since the key was made; the device is let in all the same.
    found.space_id = session.scalar(select(Space.id).where(Space.id == key.space_id))
    found.device = slug
    found.state, found.decided_at = "approved", datetime.now(UTC)


def _check_free(session: Session, device: str) -> None:
    if _is_taken(session, device):
        raise Conflict(f"there is a device {device!r} already")


def _is_taken(session: Session, device: str) -> bool:
    taken = select(Device.slug).where(Device.slug == device)
    reserved = select(Enrolment.device).where(Enrolment.device == device, Enrolment.state == "approved")
    return session.scalar(taken.union_all(reserved).limit(1)) is not None


def _held(session: Session, enrolment_id: UUID) -> Enrolment:
    found = session.get(Enrolment, enrolment_id, with_for_update=True)
    if found is None:
        raise NotFound(f"there is no enrolment {str(enrolment_id)!r}")
    return found


def _view(row: Enrolment) -> EnrolmentView:
    return EnrolmentView(
        row.id,
        row.key_id,
        row.serial,
        row.type,
        row.name,
        row.state,
        row.device,
        row.space_id,
        row.address,
        row.times,
        row.created_at,
        row.asked_at,
        row.decided_at,
        row.enrolled_at,
    )
