"""A tenant that is erased is gone from every system, however often the erasure is cut off."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from insula_tenants import lifecycle
from insula_tenants.administration import Administration
from insula_tenants.audit import list_entries
from insula_tenants.broker import DeviceGrant
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, create_device
from insula_tenants.errors import Conflict, NotFound, TenantDeleting
from insula_tenants.lifecycle import evidence
from insula_tenants.registry import create_tenant, list_tenants, resolve_tenant
from insula_tenants.rollups import mark, refresh_tenant, survey, tend_tenant
from tests.conftest import Deployment
from tests.servers.mosquitto import SecuredMosquitto

STEPS = (
    *("begin", "close_broker", "close_registry", "forget_elsewhere"),
    *("drop_data", "drop_role", "forget", "certify"),
)
AT_ONCE = timedelta(0)


@dataclass
class Signer:
    """Notes the claims it is given."""

    claims: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, claims: dict[str, Any]) -> str:
        self.claims.append(claims)
        return f"receipt {len(self.claims)}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamicSecurity]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    yield server.access
    server.stop()


@pytest.fixture
def admins(deployment: Deployment) -> Iterator[Administration]:
    with closing(Administration({"main": deployment.admin_url})) as opened:
        yield opened


def furnish(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity, slug: str
) -> TenantContext:
    """A tenant with a device at the broker, readings of many months, a client and an invitation."""
    create_tenant(admins, slug, "Initech", owner_email="ada@example.com", key=slug)
    broker.grant_many([DeviceGrant(slug, "meter-1", "p"), DeviceGrant(f"{slug}-x", "meter-1", "p")])
    with deployment.databases.core() as core:
        context = resolve_tenant(core, slug)
        core.execute(
            text(
                "INSERT INTO oauth_clients (client_id, tenant_id, name, secret_hash, grant_types, scope)"
                " VALUES (:slug, :id, 'x', 'x', '{client_credentials}', 'x')"
            ),
            {"slug": slug, "id": context.id},
        )
        core.execute(
            text(
                "INSERT INTO letters (tenant_id, recipient, subject, body, expires_at)"
                " VALUES (:id, 'x@example.com', 'Join Initech on Insula', 'x', now() + interval '1 day')"
            ),
            {"id": context.id},
        )
        core.execute(
            text("INSERT INTO usage_daily VALUES (:id, current_date, 'values', 5)"), {"id": context.id}
        )
    with deployment.databases.tenant(context) as session:
        create_device(session, "meter-1", name="Meter", points=[NewPoint("energy")])
        session.execute(text("SELECT ensure_readings_range(now() - interval '900 days', now())"))
        session.execute(
            text(
                "INSERT INTO readings (time, point_id, value) SELECT t, 1, 1 FROM"
                " generate_series(now() - interval '900 days', now(), interval '20 days') t"
            )
        )
    return context


def ask(deployment: Deployment, slug: str, grace: timedelta = AT_ONCE) -> None:
    with deployment.databases.core() as core:
        lifecycle.request_deletion(core, slug, grace)


def test_an_erased_tenant_is_nowhere_and_its_neighbour_is_whole(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-gone")
    mark(admins, context, datetime(2000, 1, 1, tzinfo=UTC))
    while refresh_tenant(admins, context):
        pass
    tend_tenant(admins, context, 300)
    survey(admins)
    with admins.registry.begin() as connection:
        there = evidence.look_in_database(connection, "life-gone")
        assert there.schemas == 1
        assert there.relations > 20
        assert there.privileges > 5
        assert there.role == "present"
        assert (there.chunks > 10) == (there.engine == "timescaledb")
        assert there.aggregates == (3 if there.engine == "timescaledb" else 0)
        registry = evidence.look_in_registry(connection, context.id)
        assert {name for name, rows in registry.items() if rows} == {
            "tenants", "tenant_jobs", "invitations", "letters", "oauth_clients", "usage_daily",
            "storage_status",
        }  # fmt: skip
    assert evidence.look_at_broker(broker, "life-gone") == 1

    ask(deployment, "life-gone")
    signer = Signer()
    receipt = lifecycle.erase_tenant(admins, broker, context.id, signer)

    with admins.registry.begin() as connection:
        gone = evidence.look_in_database(connection, "life-gone")
        assert gone.clean
        assert gone.role == "absent"
        assert not any(evidence.look_in_registry(connection, context.id).values())
        assert connection.scalar(text("SELECT to_regnamespace('tenant_life_gone')")) is None
        assert connection.scalar(text("SELECT to_regnamespace('tenant_acme')")) is not None
    assert evidence.look_at_broker(broker, "life-gone") == 0
    assert evidence.look_at_broker(broker, "life-gone-x") == 1
    (claims,) = signer.claims
    assert (claims["sub"], claims["tenant"]) == (str(context.id), "life-gone")
    assert claims["found"]["broker"] == {"logins": 0}
    assert claims["found"]["database"]["relations"] == 0
    assert claims["found"]["registry"]["oauth_clients"] == 0
    assert lifecycle.erase_tenant(admins, broker, context.id, signer) == receipt
    assert len(signer.claims) == 1
    with deployment.databases.core() as core:
        with pytest.raises(NotFound):
            resolve_tenant(core, "life-gone")
        kept = core.get(lifecycle.ErasureReceipt, context.id)
        assert kept is not None
        assert kept.receipt == receipt
        assert [entry.action for entry in list_entries(core, tenant=context.id)] == [
            "tenant.erased", "tenant.erasure_begun", "tenant.deletion_requested", "tenant.created",
        ]  # fmt: skip
    create_tenant(admins, "life-gone", "Another")  # its name is free


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_cut_off_at_any_step_is_continued(
    deployment: Deployment,
    admins: Administration,
    broker: DynamicSecurity,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
):
    slug = f"life-e{STEPS.index(step)}{after:d}"
    context = furnish(deployment, admins, broker, slug)
    ask(deployment, slug)
    erasure = sys.modules["insula_tenants.lifecycle.erasure"]
    real = getattr(erasure, step)

    def cut_off(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise RuntimeError("the power went")

    cut_off.__name__ = step
    monkeypatch.setattr(erasure, step, cut_off)
    signer = Signer()
    with pytest.raises(RuntimeError):
        lifecycle.erase_tenant(admins, broker, context.id, signer)
    monkeypatch.undo()
    with deployment.databases.core() as core:
        due = lifecycle.due_erasures(core)
    assert due == ([] if (step, after) == ("certify", True) else [context.id])
    lifecycle.erase_tenant(admins, broker, context.id, signer)
    assert len(signer.claims) == 1
    with admins.registry.begin() as connection:
        assert evidence.look_in_database(connection, slug).clean
        assert not any(evidence.look_in_registry(connection, context.id).values())
    assert evidence.look_at_broker(broker, slug) == 0
    with deployment.databases.core() as core:
        assert lifecycle.due_erasures(core) == []


def test_a_worker_at_the_rollups_meanwhile_breaks_nothing(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-busy")
    mark(admins, context, datetime(2000, 1, 1, tzinfo=UTC))
    ended: list[Exception] = []

    def refresh_until_it_is_gone() -> None:
        with closing(Administration({"main": deployment.admin_url})) as own:
            try:
                while True:
                    refresh_tenant(own, context, budget=timedelta(seconds=1))
            except Exception as error:
                ended.append(error)

    worker = threading.Thread(target=refresh_until_it_is_gone)
    worker.start()
    ask(deployment, "life-busy")
    for _ in range(20):
        # The worker erases again each minute when a lock was in the way.
        with suppress(SQLAlchemyError, lifecycle.ErasureIncomplete):
            lifecycle.erase_tenant(admins, broker, context.id, Signer())
            break
    worker.join()
    assert isinstance(ended[0], DBAPIError)
    with admins.registry.begin() as connection:
        assert evidence.look_in_database(connection, "life-busy").clean


def test_what_is_left_is_named_and_no_receipt_is_written(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity, monkeypatch: pytest.MonkeyPatch
):
    context = furnish(deployment, admins, broker, "life-left")
    ask(deployment, "life-left")
    monkeypatch.setattr("insula_tenants.lifecycle.erasure.close_broker", lambda *_: None)
    monkeypatch.setattr(
        sys.modules["insula_tenants.lifecycle.erasure"].close_broker, "__name__", "close_broker"
    )
    signer = Signer()
    with pytest.raises(lifecycle.ErasureIncomplete, match=r"'logins': 1"):
        lifecycle.erase_tenant(admins, broker, context.id, signer)
    assert signer.claims == []
    monkeypatch.undo()
    with deployment.databases.core() as core:
        assert core.get(lifecycle.ErasureReceipt, context.id) is None
        assert lifecycle.due_erasures(core) == [context.id]
    lifecycle.erase_tenant(admins, broker, context.id, signer)
    assert len(signer.claims) == 1


@dataclass
class Shelf:
    """A place that keeps things of tenants."""

    name: str = "shelf"
    things: dict[UUID, int] = field(default_factory=dict)
    refuses: bool = False

    def forget(self, tenant_id: UUID) -> None:
        if not self.refuses:
            self.things.pop(tenant_id, None)

    def count(self, tenant_id: UUID) -> int:
        return self.things.get(tenant_id, 0)


def test_what_other_places_keep_goes_too_and_the_receipt_says_so(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-shelf")
    ask(deployment, "life-shelf")
    shelf, signer = Shelf(things={context.id: 2, deployment.acme.id: 3}, refuses=True), Signer()
    with pytest.raises(lifecycle.ErasureIncomplete, match=r"'shelf': 2"):
        lifecycle.erase_tenant(admins, broker, context.id, signer, [shelf])
    shelf.refuses = False
    lifecycle.erase_tenant(admins, broker, context.id, signer, [shelf])
    assert signer.claims[0]["found"]["shelf"] == 0
    assert shelf.things == {deployment.acme.id: 3}


def test_a_role_that_another_database_uses_stays_without_rights_here(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-shared")
    ask(deployment, "life-shared")
    with admins.registry.begin() as connection:
        server = connection.engine.url.set(database="postgres")
    with closing(Administration({"main": server.render_as_string(hide_password=False)})) as elsewhere:
        with elsewhere.registry.begin() as connection:
            connection.execute(text("GRANT CREATE ON DATABASE postgres TO tenant_life_shared"))
            connection.execute(text("CREATE SCHEMA tenant_life_shared AUTHORIZATION tenant_life_shared"))
        signer = Signer()
        try:
            lifecycle.erase_tenant(admins, broker, context.id, signer)
        finally:
            with elsewhere.registry.begin() as connection:
                connection.execute(text("DROP OWNED BY tenant_life_shared CASCADE"))
                connection.execute(text("DROP ROLE tenant_life_shared"))
    assert signer.claims[0]["found"]["database"]["role"] == "shared"
    assert signer.claims[0]["found"]["database"]["privileges"] == 0


def test_a_deletion_closes_the_tenant_at_once_and_can_be_cancelled_until_it_is_due(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-kept")
    ask(deployment, "life-kept", timedelta(days=1))
    with deployment.databases.core() as core:
        with pytest.raises(TenantDeleting, match="cancel"):
            resolve_tenant(core, "life-kept")
        assert lifecycle.due_erasures(core) == []
        assert "life-kept" in {tenant.slug for tenant in list_tenants(core)}
    with pytest.raises(Conflict, match="not to be deleted before"):
        lifecycle.erase_tenant(admins, broker, context.id, Signer())
    for act in (lifecycle.resume_tenant, lambda core, slug: lifecycle.suspend_tenant(core, slug, "x")):
        with pytest.raises(Conflict), deployment.databases.core() as core:
            act(core, "life-kept")
    with deployment.databases.core() as core:
        lifecycle.cancel_deletion(core, "life-kept")
    with deployment.databases.core() as core:
        assert resolve_tenant(core, "life-kept") == context
        with pytest.raises(Conflict, match="nobody asked"):
            lifecycle.cancel_deletion(core, "life-kept")
    with pytest.raises(Conflict, match="nobody asked"):
        lifecycle.erase_tenant(admins, broker, context.id, Signer())


def test_a_suspended_tenant_is_suspended_again_when_its_deletion_is_cancelled(
    deployment: Deployment, admins: Administration
):
    create_tenant(admins, "life-back", "Initech")
    with deployment.databases.core() as core:
        lifecycle.suspend_tenant(core, "life-back", "unpaid")
        lifecycle.request_deletion(core, "life-back")
        tenant = lifecycle.cancel_deletion(core, "life-back")
        assert (tenant.status, tenant.status_reason, tenant.delete_after) == ("suspended", "unpaid", None)


def test_an_erasure_that_has_begun_cannot_be_cancelled(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-late")
    ask(deployment, "life-late")
    sys.modules["insula_tenants.lifecycle.erasure"].begin(admins, context.id)
    with pytest.raises(Conflict, match="no way back"), deployment.databases.core() as core:
        lifecycle.cancel_deletion(core, "life-late")
    lifecycle.erase_tenant(admins, broker, context.id, Signer())


def test_who_still_works_for_an_erased_tenant_gets_an_error_and_brings_nothing_back(
    deployment: Deployment, admins: Administration, broker: DynamicSecurity
):
    context = furnish(deployment, admins, broker, "life-busy")
    ask(deployment, "life-busy")
    lifecycle.erase_tenant(admins, broker, context.id, Signer())
    with pytest.raises(SQLAlchemyError), deployment.databases.tenant(context) as session:
        session.execute(text("INSERT INTO readings (time, point_id, value) VALUES (now(), 1, 1)"))
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT to_regnamespace('tenant_life_busy')")) is None
