"""Domains: a tenant claims one, proves it by a TXT record, and speaks for the addresses in it from then on.

There is no list of public mail domains: nobody but their holder can write the record, and a tenant that holds
its domain is whom an address in it belongs to. Anyone may claim a domain; it is one tenant's that proves it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from insula_platform.federation.dns import TxtRecords
from insula_platform.federation.models import TenantDomain
from insula_platform.oauth.models import new_secret
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.errors import Conflict, InvalidInput, NotFound

PREFIX = "insula-verify="
MOST = 100
"""Domains that a tenant may claim."""

_NAME = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")


class NotVerified(Conflict):
    """The domain's TXT record is not there."""

    type = "domain-not-verified"


def normal_domain(domain: str) -> str:
    """The form in which domains are stored: lower case, ASCII. `InvalidInput` for anything else."""
    try:
        ascii_form = domain.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_form = ""
    if not _NAME.fullmatch(ascii_form):
        raise InvalidInput("domain", "give a domain like acme.example, as it is in e-mail addresses")
    return ascii_form


def domain_of(email: str) -> str | None:
    """The domain of an e-mail address, None when it has none that could be verified."""
    try:
        return normal_domain(email.rpartition("@")[2])
    except InvalidInput:
        return None


def record_of(domain: TenantDomain) -> tuple[str, str]:
    """Name and text of the TXT record that proves it."""
    return f"_insula.{domain.domain}", f"{PREFIX}{domain.challenge}"


def claim_domain(
    core: Session, tenant: TenantContext, domain: str, *, actor: Actor
) -> tuple[TenantDomain, bool]:
    """Say that a domain is the tenant's; whether it was said before. `Conflict` when there are too many."""
    name = normal_domain(domain)
    if found := core.get(TenantDomain, (tenant.id, name)):
        return found, True
    if len(claimed_domains(core, tenant.id, limit=MOST)) >= MOST:
        raise Conflict(f"a tenant has {MOST} domains at most: remove one")
    claimed = TenantDomain(tenant_id=tenant.id, domain=name, challenge=new_secret())
    core.add(claimed)
    core.flush()
    audit.record(core, actor, "domain.claimed", tenant=tenant.id, target=name)
    return claimed, False


def verify_domain(
    databases: Databases, tenant: TenantContext, domain: str, texts: TxtRecords, *, actor: Actor
) -> None:
    """Look for the record. `NotVerified` says what to write, `Conflict` that it is another tenant's."""
    with databases.core() as core:
        claimed = find_domain(core, tenant, domain)
        proven, (place, wanted) = claimed.domain, record_of(claimed)
    # No connection is held while the network is asked.
    seen = [text for name in (place, proven) for text in texts(name)]
    if wanted not in seen:
        raise NotVerified(
            f"neither {place} nor {proven} has the TXT record {wanted} ({len(seen)} others are there); "
            "a new one may take an hour to be seen"
        )
    with databases.core() as core:
        claimed = find_domain(core, tenant, domain)
        if claimed.verified_at is not None:
            return
        try:
            with core.begin_nested():
                claimed.verified_at = datetime.now(UTC)
        except IntegrityError:
            raise Conflict(f"{proven} is verified by another tenant, which must remove it first") from None
        audit.record(core, actor, "domain.verified", tenant=tenant.id, target=proven)


def remove_domain(core: Session, tenant: TenantContext, domain: str, *, actor: Actor) -> None:
    """Give a domain up. People who came in by it stay; nobody new does."""
    claimed = find_domain(core, tenant, domain)
    audit.record(core, actor, "domain.removed", tenant=tenant.id, target=claimed.domain)
    core.delete(claimed)


def find_domain(core: Session, tenant: TenantContext, domain: str) -> TenantDomain:
    """The tenant's domain of this name; `NotFound` when it has claimed none."""
    found = core.get(TenantDomain, (tenant.id, domain.lower())) if domain.isprintable() else None
    if found is None:
        raise NotFound(f"there is no domain {domain!r}")
    return found


def claimed_domains(
    core: Session, tenant_id: UUID, *, after: str | None = None, limit: int = MOST
) -> Sequence[TenantDomain]:
    """The tenant's domains by name, those after `after`."""
    query = select(TenantDomain).where(TenantDomain.tenant_id == tenant_id)
    if after is not None:
        query = query.where(TenantDomain.domain > after)
    return core.scalars(query.order_by(TenantDomain.domain).limit(limit)).all()


def verified_domains(core: Session, tenant_id: UUID) -> frozenset[str]:
    """The names of those that are proven."""
    query = select(TenantDomain.domain).where(
        TenantDomain.tenant_id == tenant_id, TenantDomain.verified_at.is_not(None)
    )
    return frozenset(core.scalars(query))


def tenant_of_domain(core: Session, domain: str) -> UUID | None:
    """Whose a domain is, None when nobody has proven it."""
    return core.scalar(
        select(TenantDomain.tenant_id).where(
            TenantDomain.domain == domain, TenantDomain.verified_at.is_not(None)
        )
    )
