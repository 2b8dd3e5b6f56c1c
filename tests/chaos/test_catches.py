"""The chaos tests can fail: the comparison sees every kind of difference, and faults built into ingest."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import SPARE
from tests.chaos.ledger import Difference, Key, compare, stored_readings
from tests.chaos.load import LibraryDevice
from tests.e2e.stack import Stack
from tests.servers.mqtt import unique
from tests.waiting import eventually

NOON = Key("acme", "desk-1", "co2", 1_772_452_800_000_000)
LATER = NOON._replace(microseconds=NOON.microseconds + 1)
SENT = {NOON: 1.0, LATER: 2.0}


@pytest.mark.parametrize(
    ("stored", "difference"),
    [
        ([(NOON, 1.0), (LATER, 2.0)], Difference()),
        ([(NOON, 1.0)], Difference(lost={LATER})),
        ([(NOON, 1.0), (LATER, 2.0), (NOON, 1.0)], Difference(twice={NOON})),
        ([(NOON, 1.0), (LATER, 1.0)], Difference(altered={LATER: (2.0, 1.0)})),
        ([(NOON, 1.0), (LATER, 2.0), (NOON._replace(tenant="globex"), 1.0)],
         Difference(invented={NOON._replace(tenant="globex")})),
    ],
)  # fmt: skip
def test_the_comparison_tells_every_kind_of_difference(
    stored: list[tuple[Key, float]], difference: Difference
):
    assert compare(SENT, stored) == difference
    assert bool(difference) == (difference != Difference())


def test_what_was_sent_without_a_promise_may_lack_but_not_differ():
    assert not compare(SENT, [(NOON, 1.0)], frozenset({LATER}))
    assert compare(SENT, [(NOON, 1.0), (LATER, 1.0)], frozenset({LATER})).altered


class Scene:
    """One device, and an ingest that is killed and comes back as another program."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        slug = unique("desk")
        password = stack.onboard(SPARE, slug)[slug]
        self._device = LibraryDevice(SPARE, slug, password, stack.broker.port)

    def become(self, *program: str) -> None:
        """Kill ingest and start this in its place."""
        self._stack.ingest.stop(signal.SIGKILL)
        self._stack.ingest.program = list(program)
        self._stack.ingest.start()
        self._stack.ingest.wait_ready()

    def send(self) -> None:
        """A hundred messages, all acknowledged by the broker; and time for ingest to take them."""
        dice = random.Random(1)
        for _ in range(100):
            self._device.send(dice)
        self._device.flush()
        time.sleep(1)

    def difference(self) -> Difference:
        """Between what was sent and what is stored by now."""
        return compare(self._device.sent, self._stored().items())

    def newest_is_stored(self) -> bool:
        """Whether the broker has nothing more for ingest."""
        return max(self._device.sent, key=lambda key: key.microseconds) in self._stored()

    def _stored(self) -> dict[Key, float]:
        stored = stored_readings(self._stack.databases, [self._stack.tenants[SPARE]])
        return {key: value for key, value in stored if key.device == self._device.slug}

    def end(self) -> None:
        """Disconnect, and bring back ingest as it is."""
        self._device.finish()
        self.become("insula_ingest")


@pytest.fixture
def scene(stack: Stack) -> Iterator[Scene]:
    playing = Scene(stack)
    yield playing
    playing.end()


@pytest.mark.long
def test_an_acknowledgement_before_the_commit_is_caught(scene: Scene):
    scene.become("tests.chaos.mutants", "stores_after_acknowledging")
    scene.send()
    scene.send()
    scene.become("insula_ingest")
    scene.send()
    eventually(scene.newest_is_stored, what="the newest reading")
    assert scene.difference().lost, "what came before it must be lacking"


@pytest.mark.long
def test_a_message_that_is_stored_beside_its_first_copy_is_caught(scene: Scene):
    scene.become("tests.chaos.mutants", "never_acknowledges")
    scene.send()
    eventually(lambda: not scene.difference(), what="the difference")
    scene.become("tests.chaos.mutants", "stores_what_comes_again_beside_the_first")
    eventually(lambda: scene.difference().invented, what="readings beside the first")
