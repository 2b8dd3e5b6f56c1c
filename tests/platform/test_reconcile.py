"""The broker's logins against the registry: told, repaired, counted, and written anew where they are lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from typer.testing import CliRunner

from insula_platform.cli import app
from insula_platform.worker.broker import DriftMetrics, reconcile_broker
from insula_tenants.audit.models import AuditEntry
from insula_tenants.broker import DeviceGrant, Drift, new_password
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.context import TenantContext
from insula_tenants.devices import create_device, set_password
from insula_tenants.lifecycle import suspend_tenant
from tests.conftest import Deployment
from tests.servers.mosquitto import SecuredMosquitto, free_port
from tests.servers.mqtt import MqttClient

METER = ("acme", "meter-1"), ("acme", "meter-2"), ("globex", "meter-1")


def register(deployment: Deployment, context: TenantContext, device: str, password: str) -> None:
    with deployment.databases.tenant(context) as session:
        create_device(session, device, name=device)
        set_password(session, device, password)


def connects(server: SecuredMosquitto, username: str, password: str) -> bool:
    client = MqttClient(server.port, username, password)
    let_in = client.connect()
    client.close()
    return let_in


def test_a_broker_that_drifted_and_then_lost_its_file_is_made_whole(
    fresh_deployment: Deployment,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    caplog.set_level(logging.WARNING)
    deployment, server = fresh_deployment, SecuredMosquitto(tmp_path).start()
    passwords = {(tenant, device): new_password() for tenant, device in METER}
    for (tenant, device), password in passwords.items():
        register(deployment, getattr(deployment, tenant), device, password)
    server.access.grant_many(
        [
            DeviceGrant("acme", "meter-1", passwords["acme", "meter-1"]),
            DeviceGrant("globex", "meter-1", passwords["globex", "meter-1"]),
            DeviceGrant("acme", "stray-1", "p"),
        ]
    )
    with deployment.databases.core() as core:
        suspend_tenant(core, "globex", "unpaid")  # and the broker did not hear of it
    metrics = DriftMetrics()
    drift = reconcile_broker(deployment.databases, server.access, metrics)
    assert drift == Drift(strays=("acme/stray-1",), missing=("acme/meter-2",), switched=("globex/meter-1",))
    assert "acme/meter-2" in caplog.text
    with deployment.databases.core() as core:
        (entry,) = core.scalars(select(AuditEntry).where(AuditEntry.action == "broker.reconciled"))
        assert entry.detail == {
            "strays": 1,
            "missing": 1,
            "switched": 1,
            "altered": 0,
            "some": {
                "strays": ["acme/stray-1"],
                "missing": ["acme/meter-2"],
                "switched": ["globex/meter-1"],
            },
        }
    assert connects(server, "acme/meter-1", passwords["acme", "meter-1"])
    assert not connects(server, "globex/meter-1", passwords["globex", "meter-1"])
    assert not connects(server, "acme/meter-2", passwords["acme", "meter-2"])

    server.stop()
    for name, value in {
        "INSULA_DATABASE_URL": deployment.service_url,
        "INSULA_SECRET_KEY": "a secret key that is long enough for tests",
        "INSULA_BROKER_SERVICES": json.dumps(server.passwords),
    }.items():
        monkeypatch.setenv(name, value)
    written = CliRunner().invoke(app, ["broker", "logins"])
    assert written.exit_code == 0, written.output
    assert not any(
        password in written.stdout for password in (*passwords.values(), *server.passwords.values())
    )
    (server.directory / "state" / "logins.json").write_text(written.stdout)
    server.launch(server.port)
    for device in ("meter-1", "meter-2"):
        with MqttClient(server.port, f"acme/{device}", passwords["acme", device]) as client:
            assert client.publish(f"tenants/acme/devices/{device}/telemetry", "1") == "taken"
            assert client.publish("tenants/acme/devices/meter-9/telemetry", "1") == "refused"
    assert not connects(server, "globex/meter-1", passwords["globex", "meter-1"])
    assert reconcile_broker(deployment.databases, server.access, metrics) == Drift()
    registry = CollectorRegistry()
    registry.register(metrics)
    counted = {
        kind: registry.get_sample_value("insula_broker_drift_total", {"kind": kind}) for kind in drift_kinds()
    }
    assert counted == {"strays": 1, "missing": 1, "switched": 1, "altered": 0}
    server.stop()


def drift_kinds() -> tuple[str, ...]:
    return ("strays", "missing", "switched", "altered")


def test_a_broker_that_is_away_is_told_of_and_no_error(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    away = DynamicSecurity("127.0.0.1", free_port(), "insula-control", "x")
    assert reconcile_broker(deployment.databases, away, DriftMetrics()) is None
    assert "were not compared with the registry: cannot connect to the broker" in caplog.text


def test_no_login_is_taken_while_a_tenant_cannot_be_read(fresh_deployment: Deployment, tmp_path: Path):
    """Half of the registry is no registry: what stands in the other half would be strays."""
    server = SecuredMosquitto(tmp_path).start()
    server.access.grant("acme", "meter-1", password := new_password())
    with fresh_deployment.databases.core() as core:
        core.connection().exec_driver_sql("UPDATE tenants SET schema_version = '0001' WHERE slug = 'globex'")
    assert reconcile_broker(fresh_deployment.databases, server.access, DriftMetrics()) is None
    assert connects(server, "acme/meter-1", password)
    server.stop()
