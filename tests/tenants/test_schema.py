"""The migrated database is what the models say, and migrating again changes nothing."""

from __future__ import annotations

import importlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, make_url, text

from insula_tenants.database import Databases
from insula_tenants.migrate import admin_engine, head, migrate
from insula_tenants.models import Core, PerTenant
from tests.conftest import Deployment

for module in (
    "insula_tenants.analytics.analyses.models",
    "insula_tenants.building_model.models",
    "insula_platform.api_keys.models",
    "insula_platform.federation.models",
    "insula_platform.email_links.models",
    "insula_platform.factors.models",
    "insula_platform.mail.models",
    "insula_platform.oauth.models",
    "insula_platform.people.models",
    "insula_platform.scim.models",
    "insula_platform.signin.models",
    "insula_tenants.audit.models",
    "insula_tenants.certificates.models",
    "insula_tenants.devices.models",
    "insula_tenants.energy.models",
    "insula_tenants.enrolment.models",
    "insula_tenants.invitations.models",
    "insula_tenants.lifecycle.models",
    "insula_tenants.registry.models",
    "insula_tenants.rollups.models",
    "insula_tenants.spaces.models",
    "insula_tenants.telemetry.models",
    "insula_tenants.usage.models",
):
    importlib.import_module(module)  # importing a model adds it to the metadata

_NOT_OURS = ("procrastinate_", "schema_version", "readings_")
_WITHOUT_MODEL = {"passkey_challenges", "signin_attempts"}
"""Kept for minutes, by statements alone."""


def matters(change: tuple[object, ...] | list[tuple[object, ...]]) -> bool:
    """Whether a difference is one of tables, columns or types: what the code reads and writes.

    Indexes, rules of deletion and comments are the migrations' own.
    """
    first = change[0]
    kind = str(first[0] if isinstance(first, tuple) else first)
    return not kind.endswith(("_comment", "_index", "_fk"))


@pytest.mark.parametrize(
    ("schema", "metadata"), [("insula", Core.metadata), ("tenant_acme", PerTenant.metadata)]
)
def test_tables_are_what_the_models_say(deployment: Deployment, schema: str, metadata: MetaData):
    engine = admin_engine(deployment.admin_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('search_path', :schema, true)"), {"schema": schema})
        connection.dialect.default_schema_name = schema
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _parents: (
                    kind != "table" or not (name.startswith(_NOT_OURS) or name in _WITHOUT_MODEL)
                ),
            },
        )
        found = [str(change) for change in compare_metadata(context, metadata) if matters(change)]
        assert not found, "\n".join(found)
    engine.dispose()


def test_migrating_again_changes_nothing(fresh_deployment: Deployment):
    report = migrate({"main": fresh_deployment.admin_url}, {"main": fresh_deployment.service_url})
    assert report.migrated == ["acme", "globex"]
    assert report.failed == {}
    assert report.core_version == head("core")


def test_a_tenant_that_cannot_be_migrated_is_named_and_the_others_are(fresh_deployment: Deployment):
    engine = admin_engine(fresh_deployment.admin_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tenant_acme.schema_version SET version_num = 'unheard-of'"))
    report = migrate({"main": fresh_deployment.admin_url}, {"main": fresh_deployment.service_url})
    assert report.migrated == ["globex"]
    assert "unheard-of" in report.failed["acme"]
    engine.dispose()


def test_a_new_login_of_the_services_serves_every_tenant_after_migrating(fresh_deployment: Deployment):
    renamed = make_url(fresh_deployment.service_url).set(username="insula_service_2")
    url = renamed.render_as_string(hide_password=False)
    migrate({"main": fresh_deployment.admin_url}, {"main": url})
    databases = Databases({"main": url})
    for context in (fresh_deployment.acme, fresh_deployment.globex):
        with databases.tenant(context) as session:
            assert session.scalar(text("SELECT current_user")) == context.schema
    databases.close()
