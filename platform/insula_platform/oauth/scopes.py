"""The scopes there are, and which of them each role may have: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable

IDENTITY_SCOPES = {
    "openid": "Sign in",
    "profile": "Name",
    "email": "E-mail address",
}
"""What a client may learn about the person; given to every role."""

API_SCOPES = {
    "devices:read": "See sites, spaces, devices and points",
    "devices:write": "Change sites, spaces, devices and points, and bring devices in",
    "commands:write": "Set what devices shall be, and send them commands",
    "readings:read": "Read measured values",
    "readings:write": "Write measured values",
    "dead-letters:read": "See what could not be stored",
    "dead-letters:write": "Have it processed again, or discard it",
    "members:read": "See who belongs to the tenant",
    "members:write": "Invite people, change their roles and remove them",
    "clients:read": "See the tenant's programs: service clients and API keys",
    "clients:write": "Make the tenant's programs, renew their secrets and remove them",
    "sso:read": "See how the tenant signs in at its own identity provider",
    "sso:write": "Change how the tenant signs in at its own identity provider",
    "scim:write": "Provision members and groups by SCIM",
    "data:export": "Take everything the tenant has away in a file",
    "usage:read": "See the tenant's limits and what it uses",
    "audit:read": "See who changed what in the tenant",
}
"""What a token lets its bearer do in its tenant."""

OPERATOR_SCOPES = {
    "tenants:read": "See the tenants of this deployment, their life, quotas and usage",
    "tenants:write": "Create, suspend, resume and delete tenants, change their plans and quotas",
}
"""What a token lets the operator's programs do. It opens no tenant: a token has these, or a tenant."""

SCOPES = IDENTITY_SCOPES | API_SCOPES
"""What people, and programs of a tenant, may ask for."""

ROLE_SCOPES: dict[str, frozenset[str]] = {
    "viewer": frozenset({"devices:read", "readings:read"}),
    "engineer": frozenset(
        {
            "devices:read",
            "devices:write",
            "commands:write",
            "readings:read",
            "readings:write",
            "dead-letters:read",
            "dead-letters:write",
        }
    ),
    # Provider and directory say who somebody is: whoever chooses them could come in as an owner.
    "admin": frozenset(API_SCOPES.keys() - {"data:export", "sso:write", "scim:write"}),
    "owner": frozenset(API_SCOPES),
}


def split(scope: str | None) -> list[str]:
    """The scopes of a space-separated list, each once, in their order."""
    return list(dict.fromkeys((scope or "").split()))


def join(scopes: Iterable[str]) -> str:
    """Scopes as the space-separated list that OAuth writes."""
    return " ".join(scopes)


def cut_to_role(scope: str, role: str) -> str:
    """What of `scope` a person with this role may have."""
    allowed = ROLE_SCOPES[role] | IDENTITY_SCOPES.keys()
    return join(name for name in split(scope) if name in allowed)


def without_identity(scope: str) -> str:
    """What of `scope` is not about a person."""
    return join(name for name in split(scope) if name not in IDENTITY_SCOPES)
