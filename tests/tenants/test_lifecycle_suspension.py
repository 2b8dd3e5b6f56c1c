"""A suspended tenant is closed in the registry, at the brokers and for ingest; its neighbour is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from insula_tenants.audit import Actor, list_entries
from insula_tenants.broker import INGEST, RegistryReader, new_password
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.devices import create_device, set_password
from insula_tenants.errors import InvalidInput, NotFound, TenantSuspended
from insula_tenants.lifecycle import align_broker, resume_tenant, suspend_tenant, tell_broker
from insula_tenants.registry import closed_tenants, resolve_closed_or_open, resolve_tenant
from tests.conftest import Deployment
from tests.servers.amqtt import AmqttServer
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient
from tests.waiting import eventually

OPERATOR = Actor("operator", "olga")
DEVICES = [("acme", "meter-1"), ("acme", "meter-2"), ("globex", "meter-1")]


@pytest.fixture
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    for tenant, device in DEVICES:
        server.access.grant(tenant, device, "p")
    yield server
    server.stop()


def device(server: SecuredMosquitto | AmqttServer, tenant: str, name: str, password: str = "p") -> MqttClient:
    protocol = "5" if isinstance(server, SecuredMosquitto) else "3.1.1"
    return MqttClient(server.port, f"{tenant}/{name}", password, protocol=protocol)


def gets_in(server: SecuredMosquitto | AmqttServer, tenant: str, name: str, password: str = "p") -> bool:
    client = device(server, tenant, name, password)
    admitted = client.connect()
    client.close()
    return admitted


def test_suspended_and_resumed_with_the_reason_in_the_error_and_in_the_audit_log(
    fresh_deployment: Deployment,
):
    databases, acme = fresh_deployment.databases, fresh_deployment.acme
    with databases.core() as core:
        suspend_tenant(core, "acme", "unpaid since October", actor=OPERATOR)
    with databases.core() as core:
        with pytest.raises(TenantSuspended, match="unpaid since October"):
            resolve_tenant(core, "acme")
        assert resolve_closed_or_open(core, "acme") == acme
        assert [tenant.slug for tenant in closed_tenants(core)] == ["acme"]
        assert resolve_tenant(core, "globex") == fresh_deployment.globex
        suspend_tenant(core, "acme", "unpaid since October", actor=OPERATOR)  # again: no second entry
        resume_tenant(core, "acme", actor=OPERATOR)
        resume_tenant(core, "acme", actor=OPERATOR)
        core.flush()
        assert resolve_tenant(core, "acme") == acme
        entries = [(entry.actor, entry.action, entry.detail) for entry in list_entries(core, tenant=acme.id)]
    assert entries[:2] == [
        ("olga", "tenant.resumed", {}),
        ("olga", "tenant.suspended", {"reason": "unpaid since October"}),
    ]
    assert len(entries) == 3


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, "a\0b"])
def test_a_reason_must_be_one_that_people_can_read(deployment: Deployment, reason: str):
    with deployment.databases.core() as core, pytest.raises(InvalidInput) as caught:
        suspend_tenant(core, "acme", reason)
    assert caught.value.field == "reason"


@pytest.mark.parametrize("act", [lambda core, slug: suspend_tenant(core, slug, "x"), resume_tenant])
@pytest.mark.parametrize("slug", ["nowhere", "", "a\0b"])
def test_who_is_not_there_is_not_found(deployment: Deployment, act, slug: str):
    with deployment.databases.core() as core, pytest.raises(NotFound):
        act(core, slug)


def test_mosquitto_drops_the_tenants_devices_and_lets_them_in_again_with_the_same_password(
    mosquitto: SecuredMosquitto,
):
    access = mosquitto.access
    with device(mosquitto, "acme", "meter-1") as live, device(mosquitto, "globex", "meter-1") as other:
        access.suspend_tenant("acme")
        eventually(lambda: live.closed, what="the live session")
        assert not other.closed
    assert not gets_in(mosquitto, "acme", "meter-1")
    assert not gets_in(mosquitto, "acme", "meter-2")
    assert gets_in(mosquitto, "globex", "meter-1")
    access.suspend_tenant("acme")
    access.resume_tenant("acme")
    assert gets_in(mosquitto, "acme", "meter-1")
    assert gets_in(mosquitto, "acme", "meter-2")


def test_the_worker_makes_up_for_what_the_broker_did_not_hear(
    fresh_deployment: Deployment, mosquitto: SecuredMosquitto, caplog: pytest.LogCaptureFixture
):
    away = DynamicSecurity("127.0.0.1", 1, "insula-control", "x")
    with fresh_deployment.databases.core() as core:
        suspend_tenant(core, "acme", "unpaid")
    tell_broker(away, "acme", closed=True)
    assert "has not heard that tenant acme is closed" in caplog.text
    assert gets_in(mosquitto, "acme", "meter-1")
    mosquitto.access.suspend_tenant("globex")  # and this one is closed by mistake
    align_broker(fresh_deployment.databases, mosquitto.access)
    assert not gets_in(mosquitto, "acme", "meter-1")
    assert gets_in(mosquitto, "globex", "meter-1")
    with MqttClient(mosquitto.port, INGEST, mosquitto.passwords[INGEST], client_id="i-1") as service:
        assert not service.closed


def test_amqtt_drops_the_tenants_devices_and_lets_them_in_again(
    fresh_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
):
    databases, password = fresh_deployment.databases, new_password()
    for context in (fresh_deployment.acme, fresh_deployment.globex):
        with databases.tenant(context) as session:
            create_device(session, "meter-1", name="Meter")
            set_password(session, "meter-1", password)
    server = AmqttServer(tmp_path_factory.mktemp("amqtt"), fresh_deployment.service_url).start()
    try:
        with device(server, "acme", "meter-1", password) as live:
            assert not live.closed
            with databases.core() as core:
                suspend_tenant(core, "acme", "unpaid")
            tell_broker(RegistryReader(), "acme", closed=True)
            eventually(lambda: live.closed, what="the live session")
        assert not gets_in(server, "acme", "meter-1", password)
        assert gets_in(server, "globex", "meter-1", password)
        with databases.core() as core:
            resume_tenant(core, "acme")
        assert gets_in(server, "acme", "meter-1", password)
    finally:
        server.stop()
