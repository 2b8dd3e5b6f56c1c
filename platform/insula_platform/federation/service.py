"""How a tenant signs in: what its admins set up, in the caller's session on the registry."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr
from sqlalchemy import any_, delete, literal, select, update
from sqlalchemy.orm import Session

from insula_platform.federation.domains import verified_domains
from insula_platform.federation.models import FederatedIdentity, IdentityProvider
from insula_platform.federation.provider import Registration
from insula_platform.oauth.keys import derive_key
from insula_platform.oauth.models import Grant
from insula_platform.people import Membership
from insula_platform.settings import PlatformSettings
from insula_platform.signin.models import SigninSession
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import ConfigurationError, Conflict, InvalidInput, NotFound

ROLES = ("viewer", "engineer", "admin")
"""What a provider or a directory may make of somebody, weakest first. Owners are made by owners."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an admin sets; fields as in `IdentityProvider`."""

    issuer: str
    client_id: str
    client_secret: str | None
    """None keeps the one there is."""
    scope: str
    verified_claim: str
    role_claim: str | None
    roles: dict[str, str]
    default_role: str | None
    admits_new: bool
    enforced: bool


def seal(secret_key: SecretStr) -> Fernet:
    """What seals clients' secrets at rest."""
    return Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "identity providers")))


def find_provider(core: Session, tenant: TenantContext, *, for_update: bool = False) -> IdentityProvider:
    """The tenant's provider; `NotFound` when it has none."""
    found = core.get(IdentityProvider, tenant.id, with_for_update=for_update or None)
    if found is None:
        raise NotFound("no single sign-on is set up: PUT it first")
    return found


def put_provider(
    core: Session, settings: PlatformSettings, tenant: TenantContext, setup: Setup, *, actor: Actor
) -> IdentityProvider:
    """Set up or change how the tenant signs in.

    Raises `InvalidInput` for what cannot be, `Conflict` when it is to be enforced and nobody could come in.
    When it is enforced from now on, whoever must sign in there does so: their grants end. Another issuer ends
    what the one before has opened: it may have been changed because that one is not to be believed any more.
    """
    _check(setup)
    if setup.enforced and not verified_domains(core, tenant.id):
        raise Conflict("single sign-on cannot be enforced before a domain is verified: nobody could come in")
    found = core.get(IdentityProvider, tenant.id, with_for_update=True)
    if setup.client_secret is not None:
        sealed = seal(settings.secret_key).encrypt(setup.client_secret.encode())
    elif found is not None:
        sealed = found.client_secret_sealed
    else:
        raise InvalidInput("client_secret", "give the secret that the provider has for this client")
    was_enforced = found is not None and found.enforced
    if found is not None and found.issuer != setup.issuer:
        _end_signed_in(core, tenant)
    provider = found or IdentityProvider(tenant_id=tenant.id)
    provider.issuer, provider.client_id, provider.client_secret_sealed = (
        setup.issuer,
        setup.client_id,
        sealed,
    )
    provider.scope, provider.verified_claim = setup.scope, setup.verified_claim
    provider.role_claim, provider.roles, provider.default_role = (
        setup.role_claim,
        setup.roles,
        setup.default_role,
    )
    provider.admits_new, provider.enforced = setup.admits_new, setup.enforced
    provider.updated_at = datetime.now(UTC)
    core.add(provider)
    core.flush()
    if setup.enforced and not was_enforced:
        _end_other_grants(core, tenant)
    audit.record(
        core,
        actor,
        "sso.changed" if found else "sso.set_up",
        tenant=tenant.id,
        target=setup.issuer,
        detail=shown(provider) | {"secret_changed": setup.client_secret is not None},
    )
    return provider


def remove_provider(core: Session, tenant: TenantContext, *, actor: Actor) -> None:
    """Take single sign-on away: what it opened ends, and the links between subjects and accounts."""
    provider = find_provider(core, tenant, for_update=True)
    _end_signed_in(core, tenant)
    core.execute(delete(FederatedIdentity).where(FederatedIdentity.tenant_id == tenant.id))
    audit.record(core, actor, "sso.removed", tenant=tenant.id, target=provider.issuer)
    core.delete(provider)


def shown(provider: IdentityProvider) -> dict[str, Any]:
    """What may be seen of it: all but the secret."""
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "scope": provider.scope,
        "verified_claim": provider.verified_claim,
        "role_claim": provider.role_claim,
        "roles": dict(provider.roles),
        "default_role": provider.default_role,
        "admits_new": provider.admits_new,
        "enforced": provider.enforced,
    }


def callback_url(settings: PlatformSettings, slug: str) -> str:
    """Where a tenant's provider sends browsers back to: one address for each, against mix-up."""
    return f"{settings.public_url}/signin/sso/{slug}/callback"


def registration(settings: PlatformSettings, provider: IdentityProvider, slug: str) -> Registration:
    """The platform as the provider's client, its secret opened."""
    try:
        secret = seal(settings.secret_key).decrypt(provider.client_secret_sealed).decode()
    except InvalidToken:
        raise ConfigurationError(
            "the client secret was sealed under another INSULA_SECRET_KEY: give it once more"
        ) from None
    return Registration(
        provider.issuer, provider.client_id, secret, provider.scope, callback_url(settings, slug)
    )


def _check(setup: Setup) -> None:
    roles = {*setup.roles.values(), *([setup.default_role] if setup.default_role else [])}
    if unknown := roles - set(ROLES):
        raise InvalidInput(
            "roles", f"{', '.join(sorted(unknown))}: use {', '.join(ROLES)}; owners are made by owners alone"
        )
    if "openid" not in setup.scope.split():
        raise InvalidInput("scope", "it must have openid, or there is no ID token")
    if not setup.roles and setup.default_role is None:
        raise InvalidInput("default_role", "give one, or roles: else nobody could come in")


def _end_signed_in(core: Session, tenant: TenantContext) -> None:
    """End the sessions that the tenant's provider has started, and what was granted in them."""
    core.execute(delete(SigninSession).where(SigninSession.tenant_id == tenant.id))
    core.execute(
        update(Grant)
        .where(Grant.tenant_id == tenant.id, Grant.revoked_at.is_(None), literal("fed") == any_(Grant.amr))
        .values(revoked_at=datetime.now(UTC))
    )


def _end_other_grants(core: Session, tenant: TenantContext) -> None:
    owners = select(Membership.account_id).where(
        Membership.tenant_id == tenant.id, Membership.role == "owner"
    )
    core.execute(
        update(Grant)
        .where(Grant.tenant_id == tenant.id, Grant.revoked_at.is_(None), Grant.account_id.not_in(owners))
        .values(revoked_at=datetime.now(UTC))
    )
