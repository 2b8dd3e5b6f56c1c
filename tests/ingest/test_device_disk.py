"""What a device keeps on disk: in its order, within its bounds, over `kill -9`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula_ingest.device import Device, DeviceError
from insula_ingest.device.disk import DiskBuffer
from tests.ingest.listener import DEADLINE, PASSWORD, listening
from tests.servers.mosquitto import MosquittoServer, free_port
from tests.waiting import eventually

PROGRAM = """
import sys
from insula_ingest.device import Device

port, buffer, first = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Device("acme", "lamp-1", password="x", port=port, buffer=buffer) as device:
    for number in range(first, first + 200):
        device.publish({"number": number})
    print("published", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


def lamp(port: int, path: Path, **settings: object) -> Device:
    return Device("acme", "lamp-1", password=PASSWORD, port=port, buffer=path, **settings)  # type: ignore[arg-type]


def killed_after_publishing(port: int, path: Path, first: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port), str(path), str(first)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"published\n"
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=DEADLINE)


def test_what_a_killed_program_had_published_is_sent_by_the_next(
    mosquitto: MosquittoServer, path: Path
) -> None:
    """Twice killed with the broker away; what is published then comes last."""
    nowhere = free_port()
    killed_after_publishing(nowhere, path, 0)
    killed_after_publishing(nowhere, path, 200)
    with listening(mosquitto.port) as listener:
        with lamp(mosquitto.port, path) as device:
            device.publish({"number": 400})
            device.flush(DEADLINE)
        payloads = listener.wait("telemetry", lambda found: len(found) >= 401)
    assert [payload["values"]["number"] for payload in payloads] == list(range(401))


def test_what_the_broker_has_for_certain_is_not_kept(
    mosquitto: MosquittoServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula_ingest.device.sent.KEPT", -1.0)
    with listening(mosquitto.port), lamp(mosquitto.port, path) as device:
        for number in range(5):
            device.publish({"number": number})
            device.flush(DEADLINE)
    buffer = DiskBuffer(path)
    assert len(buffer.load()) <= 2
    buffer.close()


def test_the_oldest_goes_when_it_is_full(path: Path) -> None:
    device = lamp(free_port(), path, queue_limit=3)
    device.open()
    for number in range(5):
        device.publish({"number": number})
    assert device.dropped == 2
    with pytest.raises(DeviceError):
        device.close(0.0)
    buffer = DiskBuffer(path)
    numbers = [json.loads(message.payload)["values"]["number"] for message in buffer.load()]
    assert numbers == [2, 3, 4]
    buffer.close()


def test_a_buffer_belongs_to_one_program(path: Path) -> None:
    buffer = DiskBuffer(path)
    with pytest.raises(DeviceError, match="another program"):
        lamp(free_port(), path).open()
    buffer.close()
    with pytest.raises(DeviceError, match="cannot be used"):
        DiskBuffer(path / "nowhere" / "device.db")


def test_a_damaged_buffer_is_put_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"no database at all " * 500)
    buffer = DiskBuffer(path)
    assert buffer.load() == []
    assert "put aside" in caplog.text
    assert path.with_name("device.db.broken").read_bytes().startswith(b"no database")
    buffer.close()


def test_results_of_commands_are_kept_with_what_tells_of_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula_ingest.device.disk.KEPT_COMMANDS", 10)
    buffer = DiskBuffer(path)
    for number in range(15):
        message = buffer.add(f"commands/{number}/result", b"{}", command=str(number))
        buffer.forget([message])
    buffer.close()
    buffer = DiskBuffer(path)
    results = buffer.results()
    assert list(results) == [str(number) for number in range(5, 15)]
    assert buffer.load() == []
    buffer.close()


def test_a_buffer_goes_on_after_its_program_has_closed_it(mosquitto: MosquittoServer, path: Path) -> None:
    with listening(mosquitto.port) as listener:
        for number in range(2):
            with lamp(mosquitto.port, path) as device:
                device.publish({"number": number})
        eventually(lambda: len(listener.payloads("telemetry")) >= 2)
        numbers = [payload["values"]["number"] for payload in listener.payloads("telemetry")]
    assert numbers in ([0, 1], [0, 0, 1]), "the first may come twice, and before the second"
