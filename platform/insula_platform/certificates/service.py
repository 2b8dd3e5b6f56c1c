"""Issue a certificate to a device that is there and may have one."""

from __future__ import annotations

import base64
from datetime import timedelta

from cryptography.fernet import Fernet
from sqlalchemy import select

from insula_platform.oauth.keys import derive_key
from insula_platform.settings import PlatformSettings
from insula_tenants.audit import Actor
from insula_tenants.certificates import Issued, issue, revoke_device
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import Device
from insula_tenants.errors import Conflict, NotFound


def authorities_seal(settings: PlatformSettings) -> Fernet:
    """What the private keys of tenants' authorities are sealed with."""
    return Fernet(base64.urlsafe_b64encode(derive_key(settings.secret_key, "certificate authorities")))


def crl_url(settings: PlatformSettings, key_id: str) -> str:
    """Where an authority's list of revoked certificates is."""
    return f"{settings.public_url}/pki/{key_id}.crl"


def issue_certificate(
    settings: PlatformSettings,
    databases: Databases,
    context: TenantContext,
    device: str,
    csr: str,
    *,
    actor: Actor,
    renewed: bool = False,
) -> Issued:
    """Sign the device's request.

    Raises `NotFound` for a device that is none, `Conflict` for one that is not active, and where the broker
    takes passwords; `InvalidInput` for a request that cannot be signed.
    """
    if settings.broker_access != "x509":
        raise Conflict(
            "the broker of this deployment takes passwords, not certificates: its operator chooses by "
            "INSULA_BROKER_ACCESS"
        )
    _check_active(databases, context, device)
    with databases.core() as core:
        issued = issue(
            core,
            authorities_seal(settings),
            context,
            device,
            csr,
            lifetime=timedelta(days=settings.certificate_days),
            crl_url=lambda key_id: crl_url(settings, key_id),
            actor=actor,
            renewed=renewed,
        )
    try:
        # Whoever decommissions a device says so first, and takes its certificates back then: either that
        # found this one, or this look finds what was said.
        _check_active(databases, context, device)
    except (Conflict, NotFound):
        with databases.core() as core:
            revoke_device(core, context, device)
        raise
    return issued


def _check_active(databases: Databases, context: TenantContext, device: str) -> None:
    with databases.tenant(context) as session:
        state = session.scalar(select(Device.state).where(Device.slug == device))
    if state is None:
        raise NotFound(f"there is no device {device!r}")
    if state != "active":
        raise Conflict(f"the device {device!r} is {state}: it gets no certificate")
