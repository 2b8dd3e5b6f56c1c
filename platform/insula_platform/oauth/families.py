"""Tokens as the registry knows them: what they descend from, whether they still stand, and how they end.

A person's tokens descend from a grant and stand as long as it does. A program's access token stands for
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager

from insula_platform.access.requests import bearer_of, effective
from insula_platform.oauth.models import Client, Grant, RefreshToken, RevokedToken, fingerprint
from insula_platform.oauth.scopes import join
from insula_platform.oauth.tokens import AccessToken, InvalidToken, read_known_access_token
from insula_platform.people import member_of
from insula_platform.state import Platform
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.errors import InsulaError
from insula_tenants.registry import resolve_bearer, why_closed

log = structlog.stdlib.get_logger("insula.oauth")


class StandingToken(Protocol):
    """A token that was found. Its methods are also those that Authlib asks for."""

    @property
    def told(self) -> dict[str, Any]:
        """What introspection says of it (RFC 7662, section 2.2)."""

    def concerns(self, client: Client) -> bool:
        """Whether the client may know of it."""

    def check_client(self, client: Client) -> bool:
        """Whether it was issued to the client."""

    def is_expired(self) -> bool:
        """Whether its time is over."""

    def is_revoked(self) -> bool:
        """Whether it stands no longer: called back, or the person or the tenant is out."""

    def revoke(self, core: Session, actor: Actor, reason: str) -> None:
        """End it, and all that descends from the same grant."""


@dataclass(frozen=True, slots=True)
class StandingAccessToken:
    """An access token whose signature and claims are good."""

    says: AccessToken
    grant: Grant | None
    stands: bool
    told: dict[str, Any]

    def concerns(self, client: Client) -> bool:
        """The client that holds it, and the service clients of its tenant, which may be shown such tokens."""
        if self.check_client(client):
            return True
        is_service = client.check_grant_type("client_credentials")
        return is_service and client.tenant is not None and client.tenant.slug == self.says.tenant

    def check_client(self, client: Client) -> bool:
        return self.says.client_id == client.client_id

    def is_expired(self) -> bool:
        return self.says.expires_at <= datetime.now(UTC).timestamp()

    def is_revoked(self) -> bool:
        return not self.stands

    def revoke(self, core: Session, actor: Actor, reason: str) -> None:
        if self.grant is not None:
            end_grant(core, self.grant, actor, reason)
            return
        row = insert(RevokedToken).values(
            jti=self.says.id, expires_at=datetime.fromtimestamp(self.says.expires_at, UTC)
        )
        noted = core.scalar(row.on_conflict_do_nothing().returning(RevokedToken.jti))
        if noted is not None:
            tenant = core.scalar(select(Client.tenant_id).where(Client.client_id == self.says.client_id))
            audit.record(
                core,
                actor,
                "access_token.revoked",
                tenant=tenant,
                target=self.says.id,
                detail={"why": reason},
            )


@dataclass(frozen=True, slots=True)
class StandingRefreshToken:
    """A refresh token, locked together with its grant."""

    row: RefreshToken
    stands: bool
    told: dict[str, Any]

    def concerns(self, client: Client) -> bool:
        return self.check_client(client)

    def check_client(self, client: Client) -> bool:
        return self.row.grant.client_id == client.client_id

    def is_expired(self) -> bool:
        return self.row.expires_at <= datetime.now(UTC)

    def is_revoked(self) -> bool:
        return not self.stands

    def revoke(self, core: Session, actor: Actor, reason: str) -> None:
        end_grant(core, self.row.grant, actor, reason)


def find_standing(platform: Platform, core: Session, token: str) -> StandingToken | None:
    """The token, of either kind, whatever a hint says; None for anything else."""
    row = lock_refresh_token(core, token)
    if row is not None:
        return _refresh_token(core, row)
    try:
        says = read_known_access_token(platform.settings, platform.signing_keys, token)
    except InvalidToken:
        return None
    return _access_token(platform, core, says)


def lock_refresh_token(core: Session, refresh_token: str) -> RefreshToken | None:
    """The refresh token, locked together with its grant until the transaction ends."""
    return core.scalar(
        select(RefreshToken)
        .join(RefreshToken.grant)
        .options(contains_eager(RefreshToken.grant))
        .where(RefreshToken.token_hash == fingerprint(refresh_token))
        .with_for_update()
    )


def end_grant(core: Session, grant: Grant, actor: Actor, reason: str) -> None:
    """End a grant, once: its tokens are good for nothing from the next request on."""
    if grant.revoked_at is not None:
        return
    grant.revoke()
    detail = {"account": str(grant.account_id), "why": reason}
    audit.record(core, actor, "grant.revoked", tenant=grant.tenant_id, target=grant.client_id, detail=detail)


def end_stolen(core: Session, grant: Grant, what: str) -> None:
    """End a grant whose code or token was used a second time: one of the two who did so is a thief."""
    if grant.revoked_at is None:
        log.warning("a grant is ended for replay", what=what, grant=str(grant.id), client=grant.client_id)
    end_grant(core, grant, audit.SYSTEM, f"its {what} was used twice")


def current_scopes(core: Session, says: AccessToken) -> frozenset[str] | None:
    """What an access token is good for at this moment, as the API would find; None when for nothing.

    It may have been called back, its client be disabled, its person or its tenant be out.
    """
    if says.tenant is None:
        client = core.get(Client, says.client_id)
        is_good = (
            client is not None and client.disabled_at is None and core.get(RevokedToken, says.id) is None
        )
        return says.scopes if is_good else None
    try:
        found = resolve_bearer(core, says.tenant, bearer_of(says))
    except InsulaError:
        return None
    return effective(says.scopes, found)


def _access_token(platform: Platform, core: Session, says: AccessToken) -> StandingAccessToken:
    grant = core.get(Grant, says.grant_id, with_for_update=True) if says.grant_id else None
    scopes = current_scopes(core, says)
    told: dict[str, Any] = {
        "iss": platform.settings.public_url,
        "aud": platform.settings.api_audience,
        "sub": says.subject,
        "client_id": says.client_id,
        "scope": join(sorted(scopes or ())),
        "token_type": "Bearer",
        "exp": int(says.expires_at),
        "jti": says.id,
    }
    if says.tenant is not None:
        told["tenant"] = says.tenant
    return StandingAccessToken(says, grant, scopes is not None, told)


def _refresh_token(core: Session, row: RefreshToken) -> StandingRefreshToken:
    grant = row.grant
    member = member_of(core, grant.account_id, grant.tenant_id)
    is_good = (
        row.used_at is None
        and grant.revoked_at is None
        and member is not None
        and why_closed(member.tenant) is None
    )
    told = {
        "sub": str(grant.account_id),
        "client_id": grant.client_id,
        "scope": grant.scope,
        "exp": int(row.expires_at.timestamp()),
        "iat": int(row.issued_at.timestamp()),
    }
    if member is not None:
        told["tenant"] = member.tenant.slug
    return StandingRefreshToken(row, is_good, told)
