"""Users and groups as SCIM writes them, and what of SCIM there is here.

Of a person only what the platform needs is kept: who they are, how they are reached, whether they may come
in. What a directory sends besides (telephones, addresses, a password) is left aside, as RFC 7644 lets us.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    GroupMembership,
    Mutability,
    Name,
    Patch,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

MOST = 200
"""Resources in an answer."""


class Email(ComplexAttribute):
    """An e-mail address. The library's own refuses what it takes for no public domain."""

    value: str | None = None
    """The address."""
    type: str | None = Field(None, examples=["work", "home", "other"])
    """What it is for."""
    primary: bool | None = None
    """Whether it is the one that counts."""


class User(Resource[Any]):
    """A person whom the tenant's directory knows."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """How the directory calls the person; an e-mail address where `emails` has none."""
    name: Name | None = None
    """The parts of the person's name."""
    display_name: str | None = None
    """The name to show."""
    emails: list[Email] | None = None
    """E-mail addresses; the primary one is the account's."""
    active: bool | None = None
    """Whether the person may come in."""
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    """The groups the person is in."""


class GroupMember(ComplexAttribute):
    """That somebody is in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    """The user's id."""
    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The user's address."""
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    """Users alone: there are no groups within groups."""


class Group(Resource[Any]):
    """A group of people that the tenant's directory knows."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    """The group's name, by which it may give a role."""
    members: list[GroupMember] | None = None
    """Who is in it."""


CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MOST),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="An access token of a service client, or an API key, with the scope scim:write",
            primary=True,
        )
    ],
)

# Lenient in what directories are known to send: attributes we do not keep, and Microsoft Entra's PATCH.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)

PROVIDER = ScimProvider(models=[User, Group], config=CONFIG, policy=POLICY)
