"""Issue certificates to devices, revoke them, and tell brokers which to trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants import audit
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.certificates.authority import (
    Authority,
    Revoked,
    make_authority,
    make_crl,
    read_request,
    sign_device,
)
from insula_tenants.certificates.models import CertificateAuthority, DeviceCertificate
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import ACTIVE

MOST_VALID = 5
"""Certificates that a device may have at a time: enough to renew early, too few to fill the registry."""
CRL_RENEWED_AFTER = timedelta(days=1)

Reason = Literal["key_compromise", "superseded", "cessation_of_operation", "unspecified"]
"""Why a certificate is revoked, as RFC 5280 names it."""

CrlUrl = Callable[[str], str]
"""The address of an authority's list of revoked certificates, by its key id."""


class Issued(NamedTuple):
    """A new certificate, and the authority that vouches for it, in PEM."""

    serial: str
    certificate: str
    authority: str
    not_after: datetime


class CertificateView(NamedTuple):
    """A certificate as lists show it."""

    serial: str
    not_before: datetime
    not_after: datetime
    renewed: bool
    revoked_at: datetime | None
    reason: str | None


class Holder(NamedTuple):
    """The device that a certificate was issued to."""

    tenant: str
    device: str


class Trusted(NamedTuple):
    """An authority whose certificates a broker is to take, but for those on its list."""

    tenant: str
    certificate: str
    """PEM."""
    crl: bytes
    """DER."""


def authority_of(
    core: Session, seal: Fernet, context: TenantContext, *, actor: Actor
) -> CertificateAuthority:
    """The tenant's authority, made when there is none yet; locked until the transaction ends."""
    query = select(CertificateAuthority).where(CertificateAuthority.tenant_id == context.id).with_for_update()
    if (found := core.scalar(query)) is not None:
        return found
    made = make_authority(context.slug)
    values = {
        "tenant_id": context.id,
        "key_id": made.key_id,
        "certificate": made.pem,
        "sealed_key": seal.encrypt(made.private_pem()),
    }
    # Of two at a time, one makes it and the other waits, then takes that.
    added = core.scalar(
        insert(CertificateAuthority)
        .values(**values)
        .on_conflict_do_nothing()
        .returning(CertificateAuthority.key_id)
    )
    if added is not None:
        audit.record(
            core,
            actor,
            "certificate-authority.created",
            tenant=context.id,
            target=context.slug,
            detail={"key_id": added},
        )
    return core.scalars(query).one()


def issue(
    core: Session,
    seal: Fernet,
    context: TenantContext,
    device: str,
    csr: str,
    *,
    lifetime: timedelta,
    crl_url: CrlUrl,
    actor: Actor,
    renewed: bool = False,
) -> Issued:
    """Sign the request of a device, which the caller knows to be there and active.

    Raises `InvalidInput` for a request that cannot be signed, `Conflict` when the device has enough already.
    """
    key = read_request(csr)
    row = authority_of(core, seal, context, actor=actor)
    valid = core.scalar(
        select(func.count()).select_from(DeviceCertificate).where(_mine(context, device), _is_valid())
    )
    if (valid or 0) >= MOST_VALID:
        raise Conflict(f"{device} has {valid} valid certificates: revoke one that it does not use any more")
    authority = _load(row, seal)
    certificate = sign_device(
        authority, context.slug, device, key, lifetime=lifetime, crl_url=crl_url(row.key_id)
    )
    serial = f"{certificate.serial_number:x}"
    core.add(
        DeviceCertificate(
            tenant_id=context.id,
            device=device,
            serial=serial,
            fingerprint=certificate.fingerprint(hashes.SHA256()),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            renewed=renewed,
        )
    )
    audit.record(
        core,
        actor,
        "certificate.renewed" if renewed else "certificate.issued",
        tenant=context.id,
        target=device,
        detail={"serial": serial, "not_after": certificate.not_valid_after_utc.isoformat()},
    )
    core.flush()
    pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
    return Issued(serial, pem, row.certificate, certificate.not_valid_after_utc)


def revoke_certificate(
    core: Session, context: TenantContext, device: str, serial: str, reason: Reason, *, actor: Actor
) -> None:
    """Take one certificate back; one that was taken back already stays as it is. Raises `NotFound`."""
    mine = _mine(context, device) & (DeviceCertificate.serial == serial)
    if core.scalar(select(DeviceCertificate.id).where(mine)) is None:
        raise NotFound(f"{device} has no certificate {serial!r}")
    _revoke(core, context, mine, reason, actor)


def revoke_device(
    core: Session,
    context: TenantContext,
    device: str,
    reason: Reason = "cessation_of_operation",
    *,
    actor: Actor = SYSTEM,
) -> int:
    """Take all certificates of a device back; how many were good until now."""
    return _revoke(core, context, _mine(context, device), reason, actor)


def list_certificates(core: Session, context: TenantContext, device: str) -> list[CertificateView]:
    """The certificates of a device that are not long expired, newest first."""
    query = (
        select(
            DeviceCertificate.serial,
            DeviceCertificate.not_before,
            DeviceCertificate.not_after,
            DeviceCertificate.renewed,
            DeviceCertificate.revoked_at,
            DeviceCertificate.reason,
        )
        .where(_mine(context, device))
        .order_by(DeviceCertificate.id.desc())
        .limit(100)
    )
    return [CertificateView(*row) for row in core.execute(query)]


def holder_of(core: Session, certificate: x509.Certificate) -> Holder:
    """Whose certificate this is; `NotFound` for one that was not issued here or is not good any more.

    That the device holds its private key is for the caller to know, as TLS does.
    """
    fingerprint = certificate.fingerprint(hashes.SHA256())
    query = (
        select(Tenant.slug, DeviceCertificate.device)
        .join(Tenant, Tenant.id == DeviceCertificate.tenant_id)
        .where(DeviceCertificate.fingerprint == fingerprint, _is_valid())
    )
    row = core.execute(query).one_or_none()
    if row is None:
        raise NotFound("this certificate is not good here: it is revoked, expired, or of another deployment")
    return Holder(*row)


def current_crl(core: Session, seal: Fernet, key_id: str) -> bytes:
    """The list of an authority's revoked certificates, in DER; `NotFound` when there is no such authority.

    It is made anew when something was revoked since, and once a day.
    """
    row = core.scalar(select(CertificateAuthority).where(CertificateAuthority.key_id == key_id))
    if row is None:
        raise NotFound("there is no such authority")
    return _fresh_crl(core, seal, row)


def trusted(core: Session, seal: Fernet) -> list[Trusted]:
    """The authorities of all tenants that are open, by slug, each with its present list."""
    query = (
        select(Tenant.slug, CertificateAuthority)
        .join(Tenant, Tenant.id == CertificateAuthority.tenant_id)
        .where(Tenant.status == ACTIVE)
        .order_by(Tenant.slug)
    )
    return [
        Trusted(slug, row.certificate, _fresh_crl(core, seal, row)) for slug, row in core.execute(query).all()
    ]


def ended_since(core: Session, since: datetime) -> dict[int, Holder]:
    """Certificates, by id, that were revoked or expired since an aware time, and whose they were."""
    gone = or_(
        DeviceCertificate.revoked_at >= since,
        DeviceCertificate.not_after.between(since, func.now()) & DeviceCertificate.revoked_at.is_(None),
    )
    query = (
        select(DeviceCertificate.id, Tenant.slug, DeviceCertificate.device)
        .join(Tenant, Tenant.id == DeviceCertificate.tenant_id)
        .where(gone)
    )
    return {row[0]: Holder(row[1], row[2]) for row in core.execute(query)}


def holders_in(core: Session, tenant_slugs: Sequence[str]) -> list[Holder]:
    """The devices of these tenants that have a good certificate."""
    query = (
        select(Tenant.slug, DeviceCertificate.device)
        .distinct()
        .join(Tenant, Tenant.id == DeviceCertificate.tenant_id)
        .where(Tenant.slug.in_(tenant_slugs), _is_valid())
    )
    return [Holder(*row) for row in core.execute(query)]


def _revoke(
    core: Session, context: TenantContext, which: ColumnElement[bool], reason: Reason, actor: Actor
) -> int:
    serials = core.execute(
        update(DeviceCertificate)
        .where(which, _is_valid())
        .values(revoked_at=func.now(), reason=reason)
        .returning(DeviceCertificate.device, DeviceCertificate.serial)
        .execution_options(synchronize_session=False)
    ).all()
    if serials:
        core.execute(
            update(CertificateAuthority)
            .where(CertificateAuthority.tenant_id == context.id)
            .values(revision=CertificateAuthority.revision + 1)
            .execution_options(synchronize_session=False)
        )
    for device, serial in serials:
        audit.record(
            core,
            actor,
            "certificate.revoked",
            tenant=context.id,
            target=device,
            detail={"serial": serial, "reason": reason},
        )
    return len(serials)


def _fresh_crl(core: Session, seal: Fernet, row: CertificateAuthority) -> bytes:
    if row.crl is None or _is_stale(row):
        core.refresh(row, with_for_update=True)  # of two who see it stale, the second finds it made
    if row.crl is None or _is_stale(row):
        number = row.crl_number + 1
        row.crl = make_crl(_load(row, seal), number, _revoked(core, row))
        row.crl_number, row.crl_revision, row.crl_made_at = number, row.revision, datetime.now(UTC)
        core.flush()
    return row.crl


def _revoked(core: Session, row: CertificateAuthority) -> Iterable[Revoked]:
    """Those that would be good otherwise: an expired one is no broker's any more."""
    query = select(DeviceCertificate.serial, DeviceCertificate.revoked_at, DeviceCertificate.reason).where(
        DeviceCertificate.tenant_id == row.tenant_id,
        DeviceCertificate.revoked_at.is_not(None),
        DeviceCertificate.not_after > func.now(),
    )
    for serial, at, reason in core.execute(query):
        if at is not None:
            yield Revoked(int(serial, 16), at, x509.ReasonFlags[reason or "unspecified"])


def _is_stale(row: CertificateAuthority) -> bool:
    made = row.crl_made_at
    return row.crl_revision != row.revision or made is None or made + CRL_RENEWED_AFTER < datetime.now(UTC)


def _load(row: CertificateAuthority, seal: Fernet) -> Authority:
    return Authority.load(row.certificate, seal.decrypt(row.sealed_key))


def _mine(context: TenantContext, device: str) -> ColumnElement[bool]:
    return (DeviceCertificate.tenant_id == context.id) & (DeviceCertificate.device == device)


def _is_valid() -> ColumnElement[bool]:
    return DeviceCertificate.revoked_at.is_(None) & (DeviceCertificate.not_after > func.now())
