"""Remember what people let a client do for them, and take it back, in the caller's session."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager

from insula_platform.oauth import scopes
from insula_platform.oauth.models import Client, Consent, Grant
from insula_platform.people import Member
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.errors import NotFound
from insula_tenants.registry import Tenant


def consented_scope(core: Session, client: Client, member: Member) -> list[str]:
    """What the person lets this client do in this tenant; the row is held until the transaction ends."""
    query = select(Consent.scope).where(
        Consent.account_id == member.account.id,
        Consent.client_id == client.client_id,
        Consent.tenant_id == member.tenant.id,
    )
    # Whoever withdraws waits for a grant that is being made, and ends that one too.
    return scopes.split(core.scalar(query.with_for_update(read=True)))


def give_consent(core: Session, client: Client, member: Member, scope: list[str], *, actor: Actor) -> None:
    """Let the client do this, besides what it may do already."""
    everything = scopes.join(dict.fromkeys([*consented_scope(core, client, member), *scope]))
    row = insert(Consent).values(
        account_id=member.account.id,
        client_id=client.client_id,
        tenant_id=member.tenant.id,
        scope=everything,
    )
    core.execute(
        row.on_conflict_do_update(
            index_elements=["account_id", "client_id", "tenant_id"],
            set_={"scope": everything, "granted_at": datetime.now(UTC)},
        )
    )
    audit.record(
        core,
        actor,
        "consent.given",
        tenant=member.tenant.id,
        target=client.client_id,
        detail={"scope": scopes.join(scope)},
    )


def consents_of(core: Session, account_id: UUID) -> list[Consent]:
    """What this person lets which clients do, by name of the client, clients and tenants loaded."""
    query = (
        select(Consent)
        .join(Consent.client)
        .join(Consent.tenant)
        .options(contains_eager(Consent.client), contains_eager(Consent.tenant))
        .where(Consent.account_id == account_id)
        .order_by(Client.name, Tenant.name, Client.client_id)
    )
    return list(core.scalars(query))


def withdraw_consent(
    core: Session, account_id: UUID, client_id: str, tenant_id: UUID, *, actor: Actor
) -> None:
    """Take back what the client was let do, and end every grant that it has of this person in this tenant.

    Raises `NotFound` when there is no such consent.
    """
    gone = core.scalar(
        delete(Consent)
        .where(
            Consent.account_id == account_id, Consent.client_id == client_id, Consent.tenant_id == tenant_id
        )
        .returning(Consent.scope)
    )
    if gone is None:
        raise NotFound("there is no such consent")
    core.execute(
        update(Grant)
        .where(
            Grant.account_id == account_id,
            Grant.client_id == client_id,
            Grant.tenant_id == tenant_id,
            Grant.revoked_at.is_(None),
        )
        .values(revoked_at=datetime.now(UTC))
    )
    audit.record(core, actor, "consent.withdrawn", tenant=tenant_id, target=client_id, detail={"scope": gone})
