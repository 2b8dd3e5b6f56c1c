"""From what a provider says of a person to who that is here: address, name, role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from insula_platform.federation.errors import SignInRefused
from insula_platform.federation.service import ROLES
from insula_platform.people.service import check_email, normal_email
from insula_tenants.errors import InvalidInput

TRUE = (True, "true", "1", 1)
"""How providers write that an address is verified; Microsoft's `xms_edov` is a text."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a tenant's setup says how claims are read; fields as in `IdentityProvider`."""

    verified_claim: str
    role_claim: str | None
    roles: Mapping[str, str]
    default_role: str | None


def are_missing(claims: Mapping[str, Any], rules: Rules) -> bool:
    """Whether a claim is missing that userinfo may have."""
    wanted = {"email", rules.verified_claim, "name", *([rules.role_claim] if rules.role_claim else [])}
    return not wanted <= claims.keys()


def verified_email(claims: Mapping[str, Any], rules: Rules) -> str:
    """The address that the provider vouches for; `SignInRefused` names the claim it fails at."""
    email = claims.get("email")
    try:
        email = normal_email(email) if isinstance(email, str) else ""
        check_email(email)
    except InvalidInput:
        raise SignInRefused(
            "no-email", "The provider did not tell an e-mail address.", claim="email", received=claims
        ) from None
    if rules.verified_claim not in claims:
        raise SignInRefused(
            "email-not-verified",
            "The provider did not tell whether it has verified the e-mail address.",
            claim=rules.verified_claim,
            received=claims,
        )
    if claims[rules.verified_claim] not in TRUE:
        raise SignInRefused(
            "email-not-verified",
            "The provider has not verified the e-mail address.",
            claim=rules.verified_claim,
            received=claims,
        )
    return email


def name_of(claims: Mapping[str, Any], email: str) -> str:
    """What to call the person."""
    name = claims.get("name")
    return (name.replace("\x00", "").strip()[:200] if isinstance(name, str) else "") or email


def role_of(claims: Mapping[str, Any], rules: Rules) -> str:
    """The strongest role that the claims give, or the default one; `SignInRefused` when there is none."""
    if rules.role_claim is None:
        values: Iterable[str] = ()
    else:
        said = claims.get(rules.role_claim)
        listed = said if isinstance(said, list) else [said]
        values = [value for value in listed if isinstance(value, str)]
    role = strongest(values, rules)
    if role is not None:
        return role
    if rules.role_claim is None or rules.role_claim in claims:
        detail = "Nothing that the provider told of you gives you a role here."
    else:
        detail = "The provider did not tell what gives you a role here."
    raise SignInRefused("no-role", detail, claim=rules.role_claim, received=claims)


def strongest(values: Iterable[str], rules: Rules) -> str | None:
    """The strongest role that these values of a claim, or names of groups, give; else the default one."""
    given = [rules.roles[value] for value in values if value in rules.roles]
    return max(given, key=ROLES.index, default=rules.default_role)
