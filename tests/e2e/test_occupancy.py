"""A recorded office goes through a real broker, ingest, database and API, and comes back as it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from signal import SIGKILL, SIGTERM

import pytest

from tests.e2e import occupancy
from tests.e2e.stack import Api, Stack
from tests.waiting import eventually

pytestmark = pytest.mark.long


def settled(api: Api, device: str, expected: list[occupancy.Reading]) -> list[occupancy.Reading]:
    """What is stored, once as much as expected is there, and after a moment in which more could come."""
    newest = {max(time for _, time, _ in expected)}
    eventually(
        lambda: {datetime.fromisoformat(row["time"]) for row in api.items("latest", device=device)} == newest,
        seconds=60,
        what=f"the newest values of {device}",
    )
    eventually(lambda: len(api.readings(device)) >= len(expected), seconds=60, what=f"readings of {device}")
    time.sleep(0.5)  # nothing to wait for: more than expected would be a fault
    return api.readings(device)


def finish(replay) -> None:
    """Wait for `insula replay`; it must have sent everything and say so."""
    output, _ = replay.communicate(timeout=90)
    assert replay.returncode == 0, output.decode()


def test_every_value_of_three_files_comes_back_once_and_a_second_replay_changes_nothing(stack: Stack):
    devices = {name: name.removesuffix(".csv") for name in occupancy.FILES}
    passwords = stack.onboard("acme", *devices.values())
    expected = {device: sorted(occupancy.read(name)) for name, device in devices.items()}
    assert sum(map(len, expected.values())) == 6 * 20_560
    with stack.api("acme") as api:
        for round_ in ("first", "second"):
            replays = [
                stack.replay(occupancy.folder() / name, "acme", device, passwords[device])
                for name, device in devices.items()
            ]
            for replay in replays:
                finish(replay)
            for device, readings in expected.items():
                assert settled(api, device, readings) == readings, f"{device}, {round_} replay"
    with stack.api("globex") as neighbour:
        assert neighbour.items("points") == []


def kill_ingest(stack: Stack) -> None:
    stack.ingest.stop(SIGKILL)
    stack.ingest.start()


def restart_broker(stack: Stack) -> None:
    stack.broker.stop(SIGTERM)
    stack.broker.start()


def restart_postgres(stack: Stack) -> None:
    stack.postgres.restart(crash=False)


def kill_postgres(stack: Stack) -> None:
    stack.postgres.restart(crash=True)


@pytest.mark.parametrize("fault", [kill_ingest, restart_broker, restart_postgres, kill_postgres])
def test_a_fault_in_the_middle_of_a_replay_loses_nothing(stack: Stack, fault: Callable[[Stack], None]):
    name = "datatraining.csv"
    device = fault.__name__.replace("_", "-")
    password = stack.onboard("acme", device)[device]
    expected = sorted(occupancy.read(name))
    with stack.api("acme") as api:
        replay = stack.replay(occupancy.folder() / name, "acme", device, password)
        eventually(
            lambda: len(api.items("points", device=device)) == 6, seconds=30, what="the first readings"
        )
        fault(stack)
        assert api.readings(device) != expected, "the fault came too late to tell anything"
        finish(replay)
        assert settled(api, device, expected) == expected


def test_ingest_says_one_line_for_an_outage_and_one_for_its_end(stack: Stack):
    log = stack.ingest.log.read_text()
    away, back = log.count("the database is away"), log.count("the database is back")
    assert away == back == 2, log
    assert log.count("trying again until it is back") == 1, log
