"""What `can` decides, all of it: who, what, where."""

from __future__ import annotations

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_platform.access import can
from insula_platform.access.keys import is_key, new_key
from insula_platform.access.policy import (
    WITHIN_PLACES,
    InSpace,
    SomewhereIn,
    Subject,
    WholeTenant,
    actions_of,
    may_give,
)
from insula_platform.oauth.scopes import API_SCOPES, IDENTITY_SCOPES, ROLE_SCOPES

ACME, GLOBEX = UUID(int=1), UUID(int=2)
EVERYTHING = frozenset(API_SCOPES)


@pytest.mark.parametrize(
    ("spaces", "resource", "allowed"),
    [
        (None, SomewhereIn(ACME), True),
        (None, WholeTenant(ACME), True),
        (None, InSpace(ACME, 7), True),
        (None, InSpace(ACME, None), True),
        (frozenset({7}), SomewhereIn(ACME), True),
        (frozenset({7}), WholeTenant(ACME), False),
        (frozenset({7}), InSpace(ACME, 7), True),
        (frozenset({7}), InSpace(ACME, 8), False),
        (frozenset({7}), InSpace(ACME, None), False),
        (frozenset(), InSpace(ACME, 7), False),
        (frozenset(), WholeTenant(ACME), False),
        (None, SomewhereIn(GLOBEX), False),
        (None, WholeTenant(GLOBEX), False),
        (None, InSpace(GLOBEX, 7), False),
        (frozenset({7}), InSpace(GLOBEX, 7), False),
    ],
)
def test_where_a_grant_counts(spaces: frozenset[int] | None, resource, allowed: bool):
    subject = Subject(ACME, frozenset({"devices:read"}), spaces)
    assert can(subject, "devices:read", resource) is allowed
    assert can(subject, "devices:write", resource) is False, "it was not given"


@pytest.mark.parametrize("role", ROLE_SCOPES)
def test_a_role_is_a_bound_for_whatever_was_granted(role: str):
    assert actions_of(EVERYTHING, role, within_places=False) == ROLE_SCOPES[role]
    assert actions_of({"devices:read"}, role, within_places=False) == {"devices:read"}
    assert actions_of(EVERYTHING, role, within_places=True) == ROLE_SCOPES[role] & WITHIN_PLACES


def test_a_program_has_what_it_was_given_and_an_unknown_role_has_nothing():
    assert actions_of(EVERYTHING, None, within_places=False) == EVERYTHING
    granted = EVERYTHING | IDENTITY_SCOPES.keys()
    assert actions_of(granted, "janitor", within_places=False) == IDENTITY_SCOPES.keys()


def test_a_grant_for_some_places_never_has_what_is_the_whole_tenants():
    left = actions_of(EVERYTHING, None, within_places=True)
    assert {"devices:write", "readings:read", "commands:write"} <= left
    whole = ("members", "clients", "sso", "scim", "data", "usage", "audit")
    assert not [one for one in left if one.startswith(whole)]


@given(st.frozensets(st.sampled_from(sorted(API_SCOPES))), st.sampled_from([*ROLE_SCOPES]), st.booleans())
def test_nothing_is_added_by_deciding(granted: frozenset[str], role: str, within_places: bool):
    assert actions_of(granted, role, within_places=within_places) <= granted & ROLE_SCOPES[role]


def test_nobody_gives_more_than_they_are():
    order = ["viewer", "engineer", "admin", "owner"]
    for (mine, giver), (theirs, role) in product(enumerate(order), repeat=2):
        assert may_give(giver, role) is (mine >= theirs)
    assert may_give(None, "admin")
    assert not may_give(None, "owner")


def test_a_key_is_told_by_its_form():
    key = new_key()
    assert is_key(key)
    assert key.startswith("isk_")
    others = ("", "isk_", key[:-1], f"{key}x", key.replace("isk_", "ISK_"), f"{key[:-1]}\n", "eyJhbGci.x.y")
    for other in others:
        assert not is_key(other)
