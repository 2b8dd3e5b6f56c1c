"""What Mosquitto tells of refusals: a real one, and the lines it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula_tenants.broker import INGEST, new_password
from insula_tenants.broker.refusals import Refusals, Refused, parse_line
from insula_tenants.broker.rules import BROKER_LOG
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient
from tests.waiting import eventually

CLOSED = "the broker ended the connection: it does not allow the device a topic that it published on"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_ingest_hears_whom_mosquitto_refused_a_publish(tmp_path: Path, protocol: str):
    server = SecuredMosquitto(tmp_path).start()
    password = new_password()
    server.access.grant("acme", "lamp-1", password)
    with MqttClient(server.port, INGEST, server.passwords[INGEST], client_id="insula-ingest-0") as ingest:
        assert ingest.subscribe(BROKER_LOG)
        with MqttClient(server.port, "acme/lamp-1", password, protocol=protocol) as device:
            device.publish("tenants/acme/devices/lamp-1/telemetry", "1")
        with MqttClient(server.port, "acme/lamp-1", password, protocol=protocol) as device:
            device.send("tenants/acme/devices/lamp-1/temperature", "1")
            device.wait_closed()

        def refused() -> list[Refused]:
            return [one for line in ingest.received if (one := parse_line(line.payload))]

        assert eventually(refused) == [Refused("acme", "lamp-1", "publish", CLOSED)]
    server.stop()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "1795550089: Bad socket read/write on client acme/lamp-1: Unknown error.",
            Refused("acme", "lamp-1", "publish", CLOSED),
        ),
        (
            "2026-11-24T20:00:29: Bad socket read/write on client acme/devices/lamp-1: Unknown error.",
            Refused("acme", "lamp-1", "publish", CLOSED),
        ),
        (
            "1795550089: Denied PUBLISH from acme/lamp-1 (d0, q1, r0, m2, 'tenants/x', ... (1 bytes))",
            Refused(
                "acme",
                "lamp-1",
                "publish",
                "the device may not publish on 'tenants/x': it has topics of its own",
            ),
        ),
        ("1795550089: Bad socket read/write on client acme/lamp-1: The connection was lost.", None),
        ("1795550089: Bad socket read/write on client insula-ingest-0: Unknown error.", None),
        ("1795550089: Client <unknown> disconnected, not authorised.", None),
        ("1795550089: New client connected from 127.0.0.1:1 as acme/lamp-1 (p5, c1, k30, u'x').", None),
        ("", None),
    ],
)
def test_a_line_tells_of_a_refusal_or_not(line: str, told: Refused | None):
    assert parse_line(line) == told


def test_the_last_refusal_of_each_device_is_kept_with_their_number():
    refusals = Refusals()
    for number in range(3):
        refusals.note(Refused("acme", "lamp-1", "connection", f"{number}"))
    refusals.note(Refused("globex", "lamp-1", "publish", "x"))
    assert [(one.refused.tenant, one.refused.reason, one.times) for one in refusals.take()] == [
        ("acme", "2", 3),
        ("globex", "x", 1),
    ]
    assert refusals.take() == []
