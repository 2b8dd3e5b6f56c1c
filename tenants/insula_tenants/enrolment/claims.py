"""Claim codes: made in advance for a batch of devices, printed on their boxes, traded once for a login."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Select, func, literal, select, text, tuple_
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker.access import BrokerAccess
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.onboarding import admit
from insula_tenants.devices.service import NewDevice, check_name, check_space_exists
from insula_tenants.devices.types import check_type
from insula_tenants.enrolment.codes import new_code, read_code
from insula_tenants.enrolment.models import ClaimBatch, ClaimCode
from insula_tenants.errors import InvalidInput, NotFound
from insula_tenants.names import check_slug
from insula_tenants.registry import resolve_tenant_by_id
from insula_tenants.spaces.models import Space

MOST_CODES = 10_000
MAX_LIFETIME = timedelta(days=5 * 366)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('claim batches ' || CAST(:tenant AS text), 0))")
_LONGEST_PREFIX = 33
"""So that a hyphen and the number of any code find room in a slug."""


class ClaimRefused(NotFound):
    """The claim code is not good."""

    type = "claim-refused"

    def __init__(self) -> None:
        """One answer for all: a guess must not learn what it has hit."""
        super().__init__("this claim code is unknown, used, revoked or expired: ask whoever sold the device")


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch of codes to make."""

    name: str
    count: int
    prefix: str
    """A claimed device is called `{prefix}-{number}`, 1 to `count`."""
    lifetime: timedelta
    device_type: str | None = None
    space_id: int | None = None


class BatchView(NamedTuple):
    """A batch, and how far it is used."""

    id: UUID
    name: str
    prefix: str
    device_type: str | None
    space_id: int | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    codes: int
    claimed: int


class ClaimView(NamedTuple):
    """What became of one code of a batch."""

    number: int
    device: str | None
    claimed_at: datetime | None


class Claimed(NamedTuple):
    """The device that a code was traded for. The password is told here and never again."""

    context: TenantContext
    device: str
    password: str


def make_batch(
    core: Session, databases: Databases, context: TenantContext, new: NewBatch, *, actor: Actor
) -> tuple[UUID, list[str]]:
    """A batch: its id, and its codes in the order of their numbers, which are told here and never again.

    Raises `InvalidInput` for a name, number, prefix, lifetime, type or space that cannot be.
    """
    check_name(new.name)
    _check(new)
    with databases.tenant(context) as session:
        check_type(session, new.device_type)
        check_space_exists(session, new.space_id)
    _check_prefix_is_new(core, context, new.prefix)
    batch_id, codes = uuid4(), [new_code() for _ in range(new.count)]
    core.add(
        ClaimBatch(
            id=batch_id,
            tenant_id=context.id,
            name=new.name,
            prefix=new.prefix,
            device_type=new.device_type,
            space_id=new.space_id,
            created_by=actor.id,
            expires_at=datetime.now(UTC) + new.lifetime,
        )
    )
    core.flush()
    core.add_all(
        ClaimCode(code_hash=_digest(read_code(code)), batch_id=batch_id, number=number)
        for number, code in enumerate(codes, 1)
    )
    core.flush()
    told = {"batch": str(batch_id), "codes": new.count, "type": new.device_type, "space_id": new.space_id}
    audit.record(core, actor, "claim_batch.created", tenant=context.id, target=new.name, detail=told)
    return batch_id, codes


def list_batches(
    core: Session, context: TenantContext, *, after: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[BatchView]:
    """The tenant's batches by age, those after `after`, at most `limit`."""
    place = tuple_(ClaimBatch.created_at, ClaimBatch.id)
    query = _batches(context).order_by(ClaimBatch.created_at, ClaimBatch.id).limit(limit)
    if after is not None:
        query = query.where(place > after)
    return [BatchView(*row) for row in core.execute(query)]


def find_batch(core: Session, context: TenantContext, batch_id: UUID) -> BatchView:
    """The tenant's batch of this id; `NotFound` when it has none."""
    row = core.execute(_batches(context).where(ClaimBatch.id == batch_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no batch {str(batch_id)!r}")
    return BatchView(*row)


def claims_of(
    core: Session, context: TenantContext, batch_id: UUID, *, after: int = 0, limit: int = 100
) -> list[ClaimView]:
    """What became of the batch's codes, by number, those after `after`; `NotFound` as `find_batch`."""
    find_batch(core, context, batch_id)
    query = (
        select(ClaimCode.number, ClaimCode.device, ClaimCode.claimed_at)
        .where(ClaimCode.batch_id == batch_id, ClaimCode.number > literal(after, BigInteger))
        .order_by(ClaimCode.number)
        .limit(limit)
    )
    return [ClaimView(*row) for row in core.execute(query)]


def revoke_batch(core: Session, context: TenantContext, batch_id: UUID, *, actor: Actor) -> None:
    """Let none of the batch's codes be claimed any more; devices that have claimed one stay.

    Again is no error. Raises `NotFound` when the tenant has no such batch.
    """
    found = core.scalar(
        select(ClaimBatch)
        .where(ClaimBatch.id == batch_id, ClaimBatch.tenant_id == context.id)
        .with_for_update()
    )
    if found is None:
        raise NotFound(f"there is no batch {str(batch_id)!r}")
    if found.revoked_at is None:
        found.revoked_at = datetime.now(UTC)
        told = {"batch": str(batch_id)}
        audit.record(core, actor, "claim_batch.revoked", tenant=context.id, target=found.name, detail=told)


def claim(
    core: Session, databases: Databases, broker: BrokerAccess, typed: str, *, serial: str | None, address: str
) -> Claimed:
    """Trade a code for a device with a login; the code is used up in the caller's transaction.

    Of two at a time, the second waits and is refused. Raises `InvalidInput` for a code that was mistyped,
    `ClaimRefused`, and what `admit` raises; then the code stays good.
    """
    digest = _digest(read_code(typed))
    code = core.get(ClaimCode, digest, with_for_update=True)
    if code is None:
        raise ClaimRefused
    # Shared with the claims of its other codes; a revocation waits for them.
    batch = core.get_one(ClaimBatch, code.batch_id, with_for_update={"read": True})
    if code.claimed_at is not None or batch.revoked_at is not None or batch.expires_at <= datetime.now(UTC):
        raise ClaimRefused
    context = resolve_tenant_by_id(core, batch.tenant_id)
    with databases.tenant(context) as session:
        # It may be gone since the codes were printed; the device is let in all the same.
        space_id = session.scalar(select(Space.id).where(Space.id == batch.space_id))
    slug = f"{batch.prefix}-{code.number}"
    new = NewDevice(
        slug, f"{batch.name} {code.number}", space_id=space_id, type=batch.device_type, serial=serial
    )
    actor = Actor("system", "claim", address)
    passwords = admit(core, databases, broker, context, [new], actor=actor)
    code.device, code.claimed_at = slug, datetime.now(UTC)
    told: Mapping[str, object] = {"batch": str(batch.id), "number": code.number}
    audit.record(core, actor, "device.claimed", tenant=context.id, target=slug, detail=told)
    return Claimed(context, slug, passwords[slug])


def _batches(context: TenantContext) -> Select[*tuple[Any, ...]]:
    count = func.count(ClaimCode.number)
    claimed = func.count(ClaimCode.claimed_at)
    return (
        select(
            ClaimBatch.id,
            ClaimBatch.name,
            ClaimBatch.prefix,
            ClaimBatch.device_type,
            ClaimBatch.space_id,
            ClaimBatch.created_at,
            ClaimBatch.expires_at,
            ClaimBatch.revoked_at,
            count.label("codes"),
            claimed.label("claimed"),
        )
        .join(ClaimCode, ClaimCode.batch_id == ClaimBatch.id)
        .where(ClaimBatch.tenant_id == context.id)
        .group_by(ClaimBatch.id)
    )


def _check(new: NewBatch) -> None:
    check_slug(new.prefix, field="prefix")
    if len(new.prefix) > _LONGEST_PREFIX or new.prefix.endswith("-"):
        raise InvalidInput(
            "prefix", f"use at most {_LONGEST_PREFIX} characters: -{MOST_CODES} must find room"
        )
    if not 1 <= new.count <= MOST_CODES:
        raise InvalidInput("count", f"make 1 to {MOST_CODES} codes at a time")
    if not timedelta(minutes=1) <= new.lifetime <= MAX_LIFETIME:
        raise InvalidInput("expires_in", "use 60 seconds to 5 years")


def _check_prefix_is_new(core: Session, context: TenantContext, prefix: str) -> None:
    """`InvalidInput` when the codes of two batches would come to devices of the same names.

    Of two batches at a time the second waits for the first.
    """
    core.execute(_LOCK, {"tenant": context.id})
    query = select(ClaimBatch.name).where(ClaimBatch.tenant_id == context.id, ClaimBatch.prefix == prefix)
    other = core.scalar(query.limit(1))
    if other is not None:
        raise InvalidInput(
            "prefix",
            f"the batch {other!r} has the prefix {prefix!r}: use another one",
        )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
