"""No route of the API is without a scope: every one there is, and a new one that was forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from insula_platform.access import Requires, requests
from insula_platform.app import create_app
from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES, ROLE_SCOPES
from insula_platform.settings import PlatformSettings
from tests.attacks.test_api import OPEN, SETTINGS

GUARDS = {requests._access: API_SCOPES, requests._operator_access: OPERATOR_SCOPES}
"""What stands before a route, and the scopes that it can ask for."""


def unguarded(app: FastAPI) -> set[str]:
    """Routes that answer without asking for a scope, whether the document has them or not."""
    return {
        str(context.path)
        for context in iter_route_contexts(app.routes)
        if not isinstance(context.route, APIRoute) or not any(_guards(context.route.dependant))
    }


def _guards(dependant: Dependant) -> Iterator[bool]:
    scopes = GUARDS.get(dependant.call)  # type: ignore[call-overload] # whatever is called
    if scopes is not None:
        asked = dependant.own_oauth_scopes or []
        yield bool(asked) and set(asked) <= scopes.keys()
    for inner in dependant.dependencies:
        yield from _guards(inner)


@pytest.fixture
def app() -> FastAPI:
    return create_app(PlatformSettings.model_validate(SETTINGS))


def test_every_route_asks_for_a_scope_or_is_known_to_be_open(app: FastAPI):
    assert unguarded(app) == OPEN
    assert not [path for path in unguarded(app) if path.startswith("/api/")]


def test_a_route_that_was_forgotten_is_found(app: FastAPI):
    before = unguarded(app)
    guarded = [Requires("devices:read")]
    app.add_api_route("/api/v1/tenants/{tenant}/guarded", lambda: None, dependencies=guarded)
    app.add_api_route("/api/v1/tenants/{tenant}/forgotten", lambda: None)
    app.add_api_route("/api/v1/tenants/{tenant}/hidden", lambda: None, include_in_schema=False)
    app.mount("/api/v1/mounted", FastAPI())
    found = {path for path in unguarded(app) - before if "openapi" not in path and "/docs" not in path}
    assert {"/api/v1/tenants/{tenant}/forgotten", "/api/v1/tenants/{tenant}/hidden"} <= found
    assert "/api/v1/tenants/{tenant}/guarded" not in found
    assert any(path.startswith("/api/v1/mounted") for path in found)


def test_every_scope_of_a_tenant_is_asked_for_or_granted_to_somebody(app: FastAPI):
    """A role without a scope that exists could never be given it; an owner has them all."""
    assert ROLE_SCOPES["owner"] == API_SCOPES.keys()
    for less, more in (("viewer", "engineer"), ("engineer", "admin"), ("admin", "owner")):
        assert ROLE_SCOPES[less] < ROLE_SCOPES[more]
