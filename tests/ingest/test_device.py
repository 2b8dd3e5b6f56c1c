"""A device on a real broker: what arrives, what is kept, what is refused, and what it says about itself."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from insula_ingest.device import (
    Device,
    DeviceError,
    DeviceRefusedError,
    PublishRefusedError,
    UnacknowledgedError,
    is_point_name,
)
from insula_tenants import names
from tests.ingest.listener import DEADLINE, PASSWORD, broker, eventually, listening, locked_settings
from tests.servers.mosquitto import MosquittoServer, free_port

NOON = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
LAMP = "tenants/acme/devices/lamp-1"


@pytest.fixture(scope="module")
def open_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer]:
    with broker(tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="module")
def locked_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer]:
    """Knows `acme/lamp-1`, which may publish, and `acme/mute-1`, which may only tell its status."""
    directory = tmp_path_factory.mktemp("locked")
    acl = {
        "acme/lamp-1": f"topic write {LAMP}/#",
        "acme/lamp-1/2": f"topic write {LAMP}/#",
        "acme/mute-1": "topic write tenants/acme/devices/mute-1/status",
        "listener": "topic read tenants/#",
    }
    with broker(directory, locked_settings(directory, acl)) as server:
        yield server


def lamp(port: int, **settings: object) -> Device:
    return Device("acme", "lamp-1", password=PASSWORD, port=port, **settings)  # type: ignore[arg-type]


def mute(port: int, **settings: object) -> Device:
    return Device("acme", "mute-1", password=PASSWORD, port=port, **settings)  # type: ignore[arg-type]


@contextmanager
def broker_that_says(*packets: str, before_last: threading.Event | None = None) -> Iterator[int]:
    """The port of a server that answers one packet after the other with these (hexadecimal), then nothing.

    The last one waits for `before_last`.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                for number, packet in enumerate(packets, 1):
                    connection.recv(4096)
                    if before_last is not None and number == len(packets):
                        assert before_last.wait(DEADLINE)
                    connection.sendall(bytes.fromhex(packet))
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(DEADLINE)
        assert not thread.is_alive()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_reading_arrives_and_is_acknowledged(open_broker: MosquittoServer, protocol: str) -> None:
    with listening(open_broker.port) as listener:
        with lamp(open_broker.port, protocol=protocol) as device:
            device.publish({"illuminance": 0.1 + 0.2, "on": True, "mode": "auto"}, at=NOON)
            device.flush(DEADLINE)
            assert device.unacknowledged == 0
        payloads = listener.wait("telemetry", len)
        assert f"{LAMP}/telemetry" in listener.topics()
    values = {"illuminance": 0.30000000000000004, "on": True, "mode": "auto"}
    assert payloads == [{"ts": 1772452800250, "values": values}]


def test_many_records_travel_in_one_message(open_broker: MosquittoServer) -> None:
    records = [(NOON + timedelta(minutes=n), {"illuminance": n}) for n in range(3)]
    with listening(open_broker.port) as listener, lamp(open_broker.port) as device:
        device.publish_many(records)
        device.flush(DEADLINE)
        [batch] = listener.wait("telemetry", len)
    assert [record["values"]["illuminance"] for record in batch] == [0, 1, 2]


def test_a_reading_without_a_time_is_of_now(open_broker: MosquittoServer) -> None:
    before = datetime.now(UTC)
    with listening(open_broker.port) as listener, lamp(open_broker.port) as device:
        device.publish({"illuminance": 1})
        [payload] = listener.wait("telemetry", len)
    assert 0 <= payload["ts"] - before.timestamp() * 1000 + 1 < DEADLINE * 1000


def test_status_is_online_while_connected_and_offline_after_a_clean_close(
    open_broker: MosquittoServer,
) -> None:
    with listening(open_broker.port) as listener:
        with lamp(open_broker.port):
            listener.wait("status", lambda seen: seen[-1:] == ["online"])
        listener.wait("status", lambda seen: seen[-2:] == ["online", "offline"])
    with listening(open_broker.port) as late:  # it is retained
        assert late.wait("status", len) == ["offline"]


def test_the_last_will_says_offline_when_the_device_dies(tmp_path: Path) -> None:
    with broker(tmp_path) as server, listening(server.port) as listener, lamp(server.port) as device:
        listener.wait("status", lambda seen: seen == ["online"])
        device._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # the cable is cut
        listener.wait("status", lambda seen: seen == ["online", "offline", "online"])


def test_nothing_is_lost_when_the_broker_is_killed_and_comes_back(tmp_path: Path) -> None:
    with broker(tmp_path) as server, listening(server.port) as listener, lamp(server.port) as device:
        for n in range(50):
            device.publish({"illuminance": n})
        device.flush(DEADLINE)
        server.stop(signal.SIGKILL)
        for n in range(50, 400):  # more than fit into the window of messages on their way
            device.publish({"illuminance": n})
        with pytest.raises(UnacknowledgedError, match="350 messages of device acme/lamp-1 not acknowledged"):
            device.flush(0.0)
        server.start()
        device.flush(DEADLINE)
        seen = listener.wait("telemetry", lambda seen: seen[-1]["values"]["illuminance"] == 399)
    assert {payload["values"]["illuminance"] for payload in seen} == set(range(400))


def test_what_the_broker_acknowledged_and_forgot_is_sent_again_in_order(tmp_path: Path) -> None:
    # This broker writes nothing to disk: after `kill -9` it knows of nothing.
    settings = "allow_anonymous true\nautosave_interval 0"
    with broker(tmp_path, settings) as server, lamp(server.port) as device:
        with listening(server.port) as before:
            for n in range(50):
                device.publish({"illuminance": n}, at=NOON)
            device.flush(DEADLINE)
            before.wait("telemetry", lambda seen: len(seen) == 50)
        server.stop(signal.SIGKILL)
        server.start()
        with listening(server.port) as after:
            seen = after.wait("telemetry", lambda seen: len(seen) >= 50)
            device.flush(DEADLINE)
    assert [payload["values"]["illuminance"] for payload in seen] == list(range(50))


def test_readings_that_nobody_takes_are_kept_until_somebody_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broker(tmp_path) as server, lamp(server.port) as device:
        for n in range(5):
            device.publish({"illuminance": n})
        with pytest.raises(UnacknowledgedError, match=r"5 messages .* nobody takes its readings"):
            device.flush(2.5)  # long enough for a second attempt
        with listening(server.port) as listener:
            device.flush(DEADLINE)
            seen = listener.wait("telemetry", lambda seen: len(seen) >= 5)
    assert [payload["values"]["illuminance"] for payload in seen] == list(range(5))
    assert caplog.text.count("nobody takes its readings") == 1


def test_a_device_may_start_before_its_broker_and_a_full_queue_drops_the_oldest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = MosquittoServer(tmp_path)
    with lamp(server.port, queue_limit=10) as device:
        for n in range(13):
            device.publish({"illuminance": n})
        assert device.dropped == 3
        with pytest.raises(UnacknowledgedError, match=r"10 messages .* cannot reach 127.0.0.1:.* refused"):
            device.flush(0.0)
        server.start()
        with listening(server.port) as listener:
            device.flush(DEADLINE)
            seen = listener.wait("telemetry", lambda seen: len(seen) == 10)
    server.stop()
    assert [payload["values"]["illuminance"] for payload in seen] == list(range(3, 13))
    assert len([record for record in caplog.records if "dropping the oldest" in record.message]) == 1


def test_the_brokers_receive_maximum_is_kept(tmp_path: Path) -> None:
    # Mosquitto ends a connection that has more than this on its way.
    with broker(tmp_path, "allow_anonymous true\nmax_inflight_messages 2") as server:
        with listening(server.port) as listener, lamp(server.port) as device:
            for n in range(300):
                device.publish({"illuminance": n})
            device.flush(DEADLINE)
            seen = listener.wait("telemetry", lambda seen: len(seen) == 300)
        assert "Receive maximum exceeded" not in server.log.read_text()
    assert [payload["values"]["illuminance"] for payload in seen] == list(range(300))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_refused_at_once_and_never_shown(
    locked_broker: MosquittoServer, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    device = Device("acme", "lamp-1", password="wr0ng", port=locked_broker.port, protocol=protocol)  # type: ignore[arg-type]
    with pytest.raises(
        DeviceRefusedError, match=r"refused the connection of acme/lamp-1: Not auth.* password"
    ) as error:
        device.open()
    assert "wr0ng" not in f"{error.value!r} {device!r} {caplog.text}"
    with pytest.raises(DeviceError, match="not open"):
        device.publish({"illuminance": 1})


def test_a_right_password_is_accepted(locked_broker: MosquittoServer) -> None:
    with listening(locked_broker.port, "listener") as listener:
        with lamp(locked_broker.port) as device:
            device.publish({"illuminance": 1})
        listener.wait("telemetry", len)


def test_a_later_login_publishes_as_the_same_device(locked_broker: MosquittoServer) -> None:
    with listening(locked_broker.port, "listener") as listener:
        with lamp(locked_broker.port, username="acme/lamp-1/2") as device:
            device.publish({"illuminance": 2})
            assert (device.name, device.username) == ("acme/lamp-1", "acme/lamp-1/2")
        listener.wait("telemetry", len)


@pytest.mark.parametrize("username", ["", "acme/lamp-2", "acme/lamp-1/", "acme/lamp-10/2", "acme/lamp-1/x"])
def test_a_login_of_another_device_is_refused(username: str) -> None:
    with pytest.raises(ValueError, match="no login of acme/lamp-1"):
        lamp(free_port(), username=username)


def test_a_refused_message_is_an_error_and_not_silence(locked_broker: MosquittoServer) -> None:
    told: list[DeviceError] = []
    with mute(locked_broker.port, on_refused=told.append) as device:
        device.publish({"illuminance": 1})
        device.publish({"illuminance": 2})
        eventually(lambda: len(told) == 2)
        complaint = "refused 2 messages of device acme/mute-1: Not authorized"
        with pytest.raises(PublishRefusedError, match=complaint):
            device.flush(DEADLINE)
        device.flush(DEADLINE)  # told once
    assert all(isinstance(error, PublishRefusedError) for error in told)


def test_leaving_the_block_tells_of_a_refused_message(locked_broker: MosquittoServer) -> None:
    with (
        pytest.raises(PublishRefusedError, match="1 message"),
        mute(locked_broker.port) as device,
    ):
        device.publish({"illuminance": 1})


def test_a_device_that_is_refused_later_says_so_and_comes_back_when_it_may(tmp_path: Path) -> None:
    told: list[DeviceError] = []
    acl = {"acme/lamp-1": f"topic write {LAMP}/#", "listener": "topic read tenants/#"}
    settings = locked_settings(tmp_path, acl)
    passwords = (tmp_path / "passwords").read_text()
    with broker(tmp_path, settings) as server, lamp(server.port, on_refused=told.append) as device:
        server.stop()
        (tmp_path / "passwords").write_text("")
        server.start()
        device.publish({"illuminance": 1})
        eventually(lambda: told)
        with pytest.raises(DeviceRefusedError, match="Not authorized"):
            device.flush(DEADLINE)
        server.stop()
        (tmp_path / "passwords").write_text(passwords)
        server.start()
        with listening(server.port, "listener"):
            eventually(lambda: device.unacknowledged == 0)
    assert len(told) == 1


def test_a_device_ousted_by_another_program_does_not_come_back_to_oust_it() -> None:
    told, is_open = threading.Event(), threading.Event()
    accepted, taken_over = "20 03 00 00 00", "e0 01 8e"
    with broker_that_says(accepted, taken_over, before_last=is_open) as port:
        device = lamp(port, on_refused=lambda _: told.set())
        device.open()
        device.publish({"illuminance": 1})
        is_open.set()
        assert told.wait(DEADLINE)
        with pytest.raises(DeviceRefusedError, match="another program has connected as acme/lamp-1"):
            device.publish({"illuminance": 1})
        with pytest.raises(DeviceRefusedError, match="one program per device"):
            device.close()


def test_a_broker_without_mqtt_5_is_recognized() -> None:
    with (
        broker_that_says("20 03 00 84 00") as port,
        pytest.raises(DeviceRefusedError, match=r"Unsupported protocol version \(set protocol='3.1.1'\)"),
    ):
        lamp(port).open()


def test_a_broker_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula_ingest.device.client._FIRST_ATTEMPT", 0.1)
    with broker_that_says() as port:
        device = lamp(port)
        device.open()
        device.publish({"illuminance": 1})
        with pytest.raises(UnacknowledgedError, match=f"127.0.0.1:{port} does not answer; without MQTT 5"):
            device.close(0.0)


def test_a_broker_that_is_busy_is_no_refusal() -> None:
    with broker_that_says("20 03 00 89 00") as port:
        device = lamp(port)
        device.open()
        device.publish({"illuminance": 1})
        with pytest.raises(UnacknowledgedError, match="not ready: Server busy"):
            device.close(0.0)


def certificate(directory: Path) -> Path:
    """A certificate of 127.0.0.1 that has signed itself, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "broker.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return file


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_tls_protects_the_connection_and_a_strange_certificate_is_refused(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with broker(tmp_path, f"allow_anonymous true\ncertfile {file}\nkeyfile {file}") as server:
        with lamp(server.port, tls=ssl.create_default_context(cafile=file)) as device:
            device.flush(DEADLINE)  # its status
        complaint = rf"the certificate of 127.0.0.1:{server.port} is not trusted: self.signed"
        with pytest.raises(DeviceRefusedError, match=complaint):
            lamp(server.port, tls=ssl.create_default_context()).open()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"illuminance": float("nan")}, "point 'illuminance' has the value nan"),
        ({"illuminance": float("inf")}, "point 'illuminance' has the value inf"),
        ({"a b": 1}, "'a b' cannot name a point"),
        ({}, "at least one value"),
    ],
)
def test_what_cannot_be_sent_is_named(
    open_broker: MosquittoServer, values: dict[str, float], complaint: str
) -> None:
    with lamp(open_broker.port) as device, pytest.raises(ValueError, match=complaint):
        device.publish(values)


def test_a_time_without_a_zone_is_refused(open_broker: MosquittoServer) -> None:
    with lamp(open_broker.port) as device, pytest.raises(ValueError, match="needs a zone"):
        device.publish({"illuminance": 1}, at=datetime(2026, 3, 2))  # noqa: DTZ001


def test_the_password_comes_from_the_environment_and_a_missing_one_is_named(
    locked_broker: MosquittoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INSULA_DEVICE_PASSWORD", raising=False)
    with pytest.raises(ValueError, match=r"acme/lamp-1 has no password: .*INSULA_DEVICE_PASSWORD"):
        Device("acme", "lamp-1", port=locked_broker.port)
    monkeypatch.setenv("INSULA_DEVICE_PASSWORD", PASSWORD)
    with Device("acme", "lamp-1", port=locked_broker.port) as device:
        device.publish({"illuminance": 1})


def test_a_slug_that_would_leave_its_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="device 'a/#' is no slug"):
        Device("acme", "a/#", password="x", port=free_port())


@settings(deadline=None)
@given(st.one_of(st.text(max_size=140), st.from_regex(r"[A-Za-z0-9_.:/-]{1,130}", fullmatch=True)))
def test_device_and_platform_agree_on_names(name: str) -> None:
    assert is_point_name(name) == names.is_point_name(name)
    try:
        Device("acme", name, password="x")
        accepted = True
    except ValueError:
        accepted = False
    assert accepted == names.is_slug(name)
