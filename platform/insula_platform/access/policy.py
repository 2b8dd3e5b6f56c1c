"""Who may do what: the one place that decides.

An action is the name of a scope. A subject may do it when what it was given holds the scope (token, client or
key), when the role of the person behind it does at this moment, and when its grant covers the place::

    granted  ∩  the role's  ∩  what a grant for some places can hold   →   the actions
    every place, or the spaces that the grant covers                   →   where
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from insula_platform.oauth.scopes import IDENTITY_SCOPES, ROLE_SCOPES

WITHIN_PLACES = ROLE_SCOPES["engineer"] | ROLE_SCOPES["viewer"]
"""What a grant for some places may hold: members, programs, sign-in and bills are the whole tenant's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks, as the registry knows them at this moment."""

    tenant: UUID
    actions: frozenset[str]
    """From `actions_of`."""
    spaces: frozenset[int] | None
    """The spaces that the grant covers; None for the whole tenant."""


@dataclass(frozen=True, slots=True)
class SomewhereIn:
    """Some part of the tenant, whichever: what is asked before a route knows more."""

    tenant: UUID


@dataclass(frozen=True, slots=True)
class WholeTenant:
    """What belongs to the tenant as a whole: its members, its programs, its types of devices."""

    tenant: UUID


@dataclass(frozen=True, slots=True)
class InSpace:
    """A space, or a device, which is where its space is."""

    tenant: UUID
    space: int | None
    """None for a device of which nobody said where it is: only who has the whole tenant has it."""


Resource = SomewhereIn | WholeTenant | InSpace


def can(subject: Subject, action: str, resource: Resource) -> bool:
    """Whether the subject may do this there. `action` is the name of a scope."""
    if resource.tenant != subject.tenant or action not in subject.actions:
        return False
    if subject.spaces is None or isinstance(resource, SomewhereIn):
        return True
    return isinstance(resource, InSpace) and resource.space in subject.spaces


def may_give(giver: str | None, role: str) -> bool:
    """Whether who has one role may give or take the other: nobody makes somebody more than they are.

    A program that acts for itself has no role, and counts as an admin: what it does, an admin let it do.
    """
    return ROLE_SCOPES[giver or "admin"] >= ROLE_SCOPES[role]


def actions_of(granted: Iterable[str], role: str | None, *, within_places: bool) -> frozenset[str]:
    """What is left of the granted scopes.

    `role` is that of the person behind them; None for a program that acts for itself. A role that nobody
    knows leaves nothing.
    """
    actions = frozenset(granted)
    if role is not None:
        actions &= ROLE_SCOPES.get(role, frozenset()) | IDENTITY_SCOPES.keys()
    if within_places:
        actions &= WITHIN_PLACES | IDENTITY_SCOPES.keys()
    return actions
