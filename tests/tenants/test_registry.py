"""Tenants are made whole or not at all."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.errors import Conflict, InvalidInput, NotFound, TenantUnavailable
from insula_tenants.registry import create_tenant, list_tenants, resolve_tenant
from tests.conftest import Deployment


@pytest.mark.parametrize(
    "slug", ["", "a", "ab", "1ab", "Acme", "acme-", "-acme", "a_b_c", "a" * 41, "ac me", "äcme"]
)
def test_a_slug_is_checked_before_anything_is_made(deployment: Deployment, slug: str):
    with pytest.raises(InvalidInput) as caught:
        create_tenant(Administration({"main": deployment.admin_url}), slug, "Name")
    assert caught.value.field in {"slug", "tenant"}


def test_a_tenant_needs_a_name(deployment: Deployment):
    with pytest.raises(InvalidInput, match="empty"):
        create_tenant(Administration({"main": deployment.admin_url}), "nameless", " ")


def test_a_slug_is_taken_once(deployment: Deployment):
    with pytest.raises(Conflict):
        create_tenant(Administration({"main": deployment.admin_url}), "acme", "Another Acme")


def test_a_creation_that_fails_leaves_nothing(fresh_deployment: Deployment, monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr("insula_tenants.registry.creation.upgrade_schema", fail)
    admin = Administration({"main": fresh_deployment.admin_url})
    with pytest.raises(RuntimeError):
        create_tenant(admin, "initech", "Initech")
    with admin.registry.connect() as connection:
        assert connection.scalar(text("SELECT to_regnamespace('tenant_initech')")) is None
    with fresh_deployment.databases.core() as core:
        assert [tenant.slug for tenant in list_tenants(core)] == ["acme", "globex"]
    monkeypatch.undo()
    create_tenant(admin, "initech", "Initech")
    with fresh_deployment.databases.core() as core:
        assert resolve_tenant(core, "initech").schema == "tenant_initech"


@pytest.mark.parametrize("slug", ["initech", "", "ACME", "acme'--", "../acme"])
def test_no_such_tenant_is_not_found_whatever_it_is_called(deployment: Deployment, slug: str):
    with deployment.databases.core() as core, pytest.raises(NotFound):
        resolve_tenant(core, slug)


def test_a_tenant_being_made_is_not_found(fresh_deployment: Deployment):
    with fresh_deployment.databases.core() as core:
        core.execute(text("UPDATE tenants SET schema_version = NULL WHERE slug = 'acme'"))
    with fresh_deployment.databases.core() as core, pytest.raises(NotFound):
        resolve_tenant(core, "acme")


def test_a_tenant_of_another_release_is_unavailable_with_the_way_out(fresh_deployment: Deployment):
    with fresh_deployment.databases.core() as core:
        core.execute(text("UPDATE tenants SET schema_version = '9999' WHERE slug = 'acme'"))
    with fresh_deployment.databases.core() as core:
        with pytest.raises(TenantUnavailable, match="insula migrate"):
            resolve_tenant(core, "acme")
        assert resolve_tenant(core, "globex").slug == "globex"
