"""Provisioning keys: what a fleet carries so that its devices may announce themselves."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.service import check_name, check_space_exists
from insula_tenants.devices.types import check_type
from insula_tenants.enrolment.models import ProvisioningKey
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.names import check_slug

PREFIX = "isp_"
"""How a provisioning key begins, so that scanners of source code know one."""
MAX_LIFETIME = timedelta(days=5 * 366)
MOST_PATTERNS = 100
_LONGEST_PREFIX = 20
"""So that a good part of a serial number finds room in a slug."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A provisioning key to make, and the rule by which its devices are approved."""

    name: str
    prefix: str
    """A device that is approved by rule is called `{prefix}-{serial}`."""
    lifetime: timedelta
    most_devices: int
    device_types: tuple[str, ...] = ()
    """Those it may say it is; none stands for any."""
    space_id: int | None = None
    approved_serials: tuple[str, ...] = ()
    """Patterns of the serial numbers that need nobody's approval, such as `AB-1*`."""


class KeyView(NamedTuple):
    """A provisioning key, without its secret."""

    id: UUID
    name: str
    prefix: str
    device_types: list[str]
    space_id: int | None
    approved_serials: list[str]
    most_devices: int
    devices: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def make_key(
    core: Session, databases: Databases, context: TenantContext, new: NewKey, *, actor: Actor
) -> tuple[KeyView, str]:
    """A provisioning key, and its secret, which is told here and never again.

    Raises `InvalidInput` for what cannot be.
    """
    check_name(new.name)
    check_slug(new.prefix, field="prefix")
    if len(new.prefix) > _LONGEST_PREFIX:
        raise InvalidInput("prefix", f"use at most {_LONGEST_PREFIX} characters: the serial number follows")
    if not 1 <= new.most_devices <= 1_000_000:
        raise InvalidInput("most_devices", "let 1 to 1000000 devices in")
    if not timedelta(minutes=1) <= new.lifetime <= MAX_LIFETIME:
        raise InvalidInput("expires_in", "use 60 seconds to 5 years")
    _check_patterns(new.approved_serials)
    with databases.tenant(context) as session:
        for device_type in new.device_types:
            check_type(session, device_type)
        check_space_exists(session, new.space_id)
    secret = PREFIX + secrets.token_urlsafe(32)
    key = ProvisioningKey(
        id=uuid4(),
        tenant_id=context.id,
        name=new.name,
        key_hash=key_digest(secret),
        prefix=new.prefix,
        device_types=list(new.device_types),
        space_id=new.space_id,
        approved_serials=list(new.approved_serials),
        most_devices=new.most_devices,
        created_by=actor.id,
        expires_at=datetime.now(UTC) + new.lifetime,
    )
    core.add(key)
    core.flush()
    core.refresh(key)
    told = {"key": str(key.id), "approved_serials": key.approved_serials, "types": key.device_types}
    audit.record(core, actor, "provisioning_key.created", tenant=context.id, target=new.name, detail=told)
    return _view(key), secret


def list_keys(
    core: Session, context: TenantContext, *, after: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[KeyView]:
    """The tenant's provisioning keys by age, those after `after`, at most `limit`."""
    place = tuple_(ProvisioningKey.created_at, ProvisioningKey.id)
    query = (
        select(ProvisioningKey)
        .where(ProvisioningKey.tenant_id == context.id)
        .order_by(ProvisioningKey.created_at, ProvisioningKey.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(place > after)
    return [_view(key) for key in core.scalars(query)]


def find_key(core: Session, context: TenantContext, key_id: UUID) -> KeyView:
    """The tenant's provisioning key of this id; `NotFound` when it has none."""
    key = core.get(ProvisioningKey, key_id)
    if key is None or key.tenant_id != context.id:
        raise NotFound(f"there is no provisioning key {str(key_id)!r}")
    return _view(key)


def revoke_key(core: Session, context: TenantContext, key_id: UUID, *, actor: Actor) -> None:
    """Let no device announce itself with the key any more; those that did stay. Again is no error.

    Raises `NotFound` when the tenant has no such key.
    """
    key = core.scalar(
        select(ProvisioningKey)
        .where(ProvisioningKey.id == key_id, ProvisioningKey.tenant_id == context.id)
        .with_for_update()
    )
    if key is None:
        raise NotFound(f"there is no provisioning key {str(key_id)!r}")
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)
        told = {"key": str(key_id)}
        audit.record(core, actor, "provisioning_key.revoked", tenant=context.id, target=key.name, detail=told)


def key_digest(secret: str) -> str:
    """The SHA-256 that a provisioning key is kept as."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_patterns(patterns: tuple[str, ...]) -> None:
    if len(patterns) > MOST_PATTERNS:
        raise InvalidInput("approved_serials", f"give at most {MOST_PATTERNS} patterns")
    for pattern in patterns:
        if not 1 <= len(pattern) <= 100 or not pattern.isprintable():
            raise InvalidInput("approved_serials", "give patterns of 1 to 100 printable characters, as AB-1*")


def _view(key: ProvisioningKey) -> KeyView:
    return KeyView(
        key.id,
        key.name,
        key.prefix,
        key.device_types,
        key.space_id,
        key.approved_serials,
        key.most_devices,
        key.devices,
        key.created_at,
        key.expires_at,
        key.revoked_at,
        key.last_used_at,
    )
