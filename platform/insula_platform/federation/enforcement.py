"""Which tenants a sign-in session opens.

One that a tenant's identity provider has started opens that tenant and no other, whoever the account belongs
to besides. Any other opens all tenants of the account but those that enforce single sign-on; their owners may
come by password all the same (a provider that is down or set up wrongly must not lock everybody out), and the
audit log says so.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.federation.models import IdentityProvider
from insula_platform.people import Member, memberships_of
from insula_platform.signin.models import SigninSession
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.registry import Tenant


def is_in_reach(core: Session, session: SigninSession, wanted: str | None) -> bool:
    """Whether the session could open the tenant that is asked for, if it is asked for one.

    Nothing is looked up of any tenant but the session's own: a provider must not learn where else its people
    are.
    """
    if session.tenant_id is None or wanted is None:
        return True
    return core.scalar(select(Tenant.slug).where(Tenant.id == session.tenant_id)) == wanted


def members_of(core: Session, session: SigninSession) -> list[Member]:
    """The account's places in the tenants that the session opens, or would if it were not enforced."""
    members = memberships_of(core, session.account_id)
    if session.tenant_id is None:
        return members
    return [member for member in members if member.tenant.id == session.tenant_id]


def open_members(core: Session, session: SigninSession) -> list[Member]:
    """The account's places that the session opens."""
    return [member for member in members_of(core, session) if opens(core, session, member)]


def opens(core: Session, session: SigninSession | None, member: Member) -> bool:
    """Whether the session will do for this place, one of `members_of`; if not, the tenant's provider will."""
    return member.role == "owner" or not _comes_from_elsewhere(core, session, member)


def note_bypass(core: Session, session: SigninSession | None, member: Member) -> None:
    """Keep in the tenant's audit log that an owner came in another way than the one that is enforced."""
    if _comes_from_elsewhere(core, session, member):
        actor = Actor("person", str(member.account.id))
        audit.record(core, actor, "sso.bypassed", tenant=member.tenant.id, target=member.account.email)


def _comes_from_elsewhere(core: Session, session: SigninSession | None, member: Member) -> bool:
    if session is not None and session.tenant_id == member.tenant.id:
        return False
    enforced = select(IdentityProvider.enforced).where(IdentityProvider.tenant_id == member.tenant.id)
    return bool(core.scalar(enforced))
