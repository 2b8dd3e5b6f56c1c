"""From a verified answer of a tenant's provider to a member of that tenant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.federation import claims as reading
from insula_platform.federation.claims import Rules
from insula_platform.federation.domains import domain_of, verified_domains
from insula_platform.federation.errors import SignInRefused
from insula_platform.federation.membership import account_for, admit, is_believed
from insula_platform.federation.models import FederatedCallback, FederatedIdentity, IdentityProvider
from insula_platform.oauth.models import fingerprint
from insula_platform.people import Account, Membership
from insula_platform.scim.models import ScimUser
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext

BY = "sso"


def rules_of(provider: IdentityProvider) -> Rules:
    """How this tenant reads claims."""
    return Rules(provider.verified_claim, provider.role_claim, provider.roles, provider.default_role)


def use_once(core: Session, state: str, lifetime: timedelta) -> None:
    """Note that the answer to this `state` signs somebody in; `SignInRefused` when it has done so before."""
    now = datetime.now(UTC)
    core.execute(delete(FederatedCallback).where(FederatedCallback.expires_at <= now))
    row = insert(FederatedCallback).values(state_hash=fingerprint(state), expires_at=now + lifetime)
    made = core.scalar(row.on_conflict_do_nothing().returning(FederatedCallback.state_hash))
    if made is None:
        raise SignInRefused("replayed", "This answer of the provider was used before.")


def admit_by_claims(
    core: Session,
    tenant: TenantContext,
    provider: IdentityProvider,
    claims: Mapping[str, Any],
    *,
    actor: Actor,
) -> Account:
    """The account that the claims speak of, a member of the tenant with the role that they give.

    A subject that is known is who it was. A new one is known by its address if the provider has verified that
    and the tenant holds its domain. Raises `SignInRefused`.
    """
    rules = rules_of(provider)
    identity = core.get(FederatedIdentity, (tenant.id, provider.issuer, claims["sub"]), with_for_update=True)
    if identity is not None:
        account = core.get_one(Account, identity.account_id)
        identity.last_used_at = datetime.now(UTC)
        _check_active(core, tenant, account)
        _give_role(core, tenant, account, claims, rules, actor)
        return account
    email = _own_address(core, tenant, claims, rules)
    known = core.scalar(select(Account).where(Account.email == email))
    membership = core.get(Membership, (known.id, tenant.id)) if known is not None else None
    if membership is None and not provider.admits_new:
        raise SignInRefused("no-member", "You are no member yet, and nobody becomes one by signing in.")
    account = known if known is not None else account_for(core, email, reading.name_of(claims, email))
    if not is_believed(core, tenant.id, account):
        raise SignInRefused(
            "unconfirmed-account",
            "There is an account with your e-mail address, and nobody has confirmed that it is theirs. "
            "Choose a new password for it (“Forgot your password?” on the sign-in page), which does so, "
            "and come back.",
            claim="email",
        )
    _check_active(core, tenant, account)
    _give_role(core, tenant, account, claims, rules, actor)
    _link(core, tenant, provider, account, claims["sub"])
    return account


def _own_address(core: Session, tenant: TenantContext, claims: Mapping[str, Any], rules: Rules) -> str:
    email = reading.verified_email(claims, rules)
    if domain_of(email) not in verified_domains(core, tenant.id):
        raise SignInRefused(
            "foreign-domain",
            "The e-mail address is in none of the domains that your organisation has verified here.",
            claim="email",
            received=claims,
        )
    return email


def _check_active(core: Session, tenant: TenantContext, account: Account) -> None:
    active = core.scalar(
        select(ScimUser.active).where(ScimUser.tenant_id == tenant.id, ScimUser.account_id == account.id)
    )
    if active is False:
        raise SignInRefused("deactivated", "Your organisation's directory has deactivated you.")


def _give_role(
    core: Session,
    tenant: TenantContext,
    account: Account,
    claims: Mapping[str, Any],
    rules: Rules,
    actor: Actor,
) -> None:
    membership = core.get(Membership, (account.id, tenant.id))
    # An owner's role is the owners' business; and without a claim for roles a member keeps the one it has.
    if membership is not None and (membership.role == "owner" or rules.role_claim is None):
        return
    admit(core, tenant.id, account, reading.role_of(claims, rules), by=BY, actor=actor)


def _link(
    core: Session, tenant: TenantContext, provider: IdentityProvider, account: Account, subject: str
) -> None:
    taken = select(FederatedIdentity.subject).where(
        FederatedIdentity.tenant_id == tenant.id,
        FederatedIdentity.issuer == provider.issuer,
        FederatedIdentity.account_id == account.id,
    )
    if core.scalar(taken) is not None:
        # An address that was given to somebody new must not open what was its last holder's.
        raise SignInRefused(
            "other-subject",
            "Somebody else has signed in with this e-mail address before: an admin must remove that member "
            "first.",
            claim="sub",
        )
    core.add(
        FederatedIdentity(tenant_id=tenant.id, issuer=provider.issuer, subject=subject, account_id=account.id)
    )
    core.flush()
