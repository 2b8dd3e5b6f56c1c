"""The device library against the platform: twin, commands, certificates, and the lines of the README."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula_ingest.device import Device
from tests.platform.conftest import Live
from tests.platform.control import Control, controlled
from tests.waiting import eventually

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def control(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(live, tmp_path_factory.mktemp("control")) as running:
        running.add("my-first-device", "lamp", "fan", "robot")
        yield running


def device(control: Control, slug: str, **options: Any) -> Device:
    password = control.passwords[f"acme/{slug}"]
    return Device("acme", slug, password=password, port=control.broker.port, **options)


def ended(control: Control, command: dict[str, Any]) -> dict[str, Any]:
    path = f"devices/{command['device']}/commands/{command['id']}"
    told: dict[str, Any] = eventually(
        lambda: answer if (answer := control.ask("GET", path).json())["ended_at"] else None,
        what=f"the end of {command['name']}",
    )
    return told


def test_the_lines_of_the_readme(control: Control, tmp_path: Path) -> None:
    """As they stand there, but for the broker's port: they publish, do as told, and say so."""
    program = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "port=1883" in program
    assert len([line for line in program.splitlines() if line.strip()]) <= 15
    environment = os.environ | {"INSULA_DEVICE_PASSWORD": control.passwords["acme/my-first-device"]}
    control.ask("PATCH", "devices/my-first-device/twin", {"desired": {"brightness": 80}})
    process = subprocess.Popen(
        [sys.executable, "-c", program.replace("port=1883", f"port={control.broker.port}")],
        env=environment,
        cwd=tmp_path,
    )
    try:
        eventually(lambda: control.twin("my-first-device")["reported"] == {"brightness": 80})
        assert control.twin("my-first-device")["delta"] == {}
        told = ended(control, control.command("my-first-device", payload={"times": 3}))
        assert (told["state"], told["result"]) == ("succeeded", {"blinked": 3})
        eventually(lambda: control.ask("GET", "latest?device=my-first-device").json()["items"])
        assert control.ask("GET", "devices/my-first-device").json()["presence"] == "online"
    finally:
        process.kill()
        process.wait(10)
    eventually(lambda: control.ask("GET", "devices/my-first-device/presence").json()["state"] == "offline")


def test_a_desired_state_finds_the_device_that_was_away(control: Control) -> None:
    states: list[dict[str, Any]] = []

    def set_desired(**patch: Any) -> None:
        assert control.ask("PATCH", "devices/lamp/twin", {"desired": patch}).status_code == 200

    def lamp() -> Device:
        made = device(control, "lamp")
        made.on_desired(states.append)
        return made

    with lamp():
        set_desired(on=False)
        eventually(lambda: states == [{"on": False}])
    set_desired(on=True)
    with lamp():
        eventually(lambda: states[-1] == {"on": True})
        set_desired(hue=7)
        eventually(lambda: states[-1] == {"on": True, "hue": 7})
    assert states == [{"on": False}, {"on": True}, {"on": True, "hue": 7}], "each once"


def test_commands_that_go_wrong(control: Control) -> None:
    fan = device(control, "fan")

    @fan.on_command("break")
    def break_it(payload: dict[str, Any]) -> None:
        raise RuntimeError(f"jammed at {payload['speed']}")

    @fan.on_command("odd")
    def odd(_payload: dict[str, Any]) -> object:
        return object()

    with fan:
        told = ended(control, control.command("fan", name="break", payload={"speed": 3}))
        assert (told["state"], told["error"]) == ("failed", "RuntimeError: jammed at 3")
        assert "JSON" in ended(control, control.command("fan", name="odd"))["error"]
        assert "knows no command" in ended(control, control.command("fan", name="fly"))["error"]


def test_a_command_waits_for_its_device_and_is_done_once(control: Control, tmp_path: Path) -> None:
    done: list[int] = []
    begun = threading.Event()

    def robot() -> Device:
        made = device(control, "robot", buffer=tmp_path / "robot.db")

        @made.on_command("step")
        def step(payload: dict[str, Any]) -> dict[str, int]:
            done.append(payload["number"])
            begun.set()
            return {"done": payload["number"]}

        return made

    with robot():
        eventually(lambda: control.ask("GET", "devices/robot/presence").json()["state"] == "online")
    eventually(lambda: control.ask("GET", "devices/robot/presence").json()["state"] == "offline")
    waiting = [
        control.command("robot", name="step", payload={"number": number}, deliver_when_back=True)
        for number in range(3)
    ]
    assert {one["state"] for one in waiting} == {"sent"}
    assert not begun.is_set()
    with robot():
        assert [ended(control, one)["result"]["done"] for one in waiting] == [0, 1, 2]
    with robot() as again:
        # As a broker does that did not get the acknowledgement in time.
        topic = f"tenants/acme/devices/robot/commands/{waiting[0]['id']}"
        link = control.live.platform.link
        assert link is not None
        link.send(topic, b'{"name": "step", "payload": {"number": 0}}')
        last = control.command("robot", name="step", payload={"number": 3})
        assert ended(control, last)["state"] == "succeeded"
        again.flush(10)
    assert done == [0, 1, 2, 3]
