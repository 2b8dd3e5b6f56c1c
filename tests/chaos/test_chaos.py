"""Processes are killed at random moments under load: nothing accepted is lost, nothing is stored twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from insula_platform.broker.mosquitto import AUTOSAVE
from tests.chaos.conftest import TENANTS
from tests.chaos.faults import Faults, plan
from tests.chaos.ledger import (
    Difference,
    Key,
    compare,
    count_dead_letters,
    latest_values,
    stored_readings,
)
from tests.chaos.load import LibraryDevice, Load, PlainDevice, Sender
from tests.e2e.stack import IngestProcess, Stack
from tests.servers.mqtt import unique

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 4)
WRITTEN_WITHIN = AUTOSAVE + 1.5
"""Seconds after which Mosquitto has written to disk what it acknowledged, on a busy machine."""


def make_senders(stack: Stack, *, correct: bool) -> list[Sender]:
    """In each tenant six devices with our library, which may `correct` themselves, and one without."""
    senders: list[Sender] = []
    for tenant in TENANTS:
        library = [unique("library") for _ in range(6)]
        plain = unique("plain")
        passwords = stack.onboard(tenant, *library, plain)
        senders += [
            LibraryDevice(tenant, slug, passwords[slug], stack.broker.port, corrects=correct)
            for slug in library
        ]
        senders.append(PlainDevice(tenant, plain, passwords[plain], stack.broker.port))
    return senders


def without_promise(senders: list[Sender], broker_killed_at: list[float]) -> frozenset[Key]:
    """What devices without our library sent so shortly before a `kill -9` of the broker that it had not
    written it to disk, and what it told them that nobody takes."""
    found: set[Key] = set()
    for sender in senders:
        if isinstance(sender, PlainDevice):
            found |= sender.sent.keys() - sender.accepted.keys()
            for killed in broker_killed_at:
                found |= sender.accepted_before(killed, WRITTEN_WITHIN)
    return frozenset(found)


class Bout:
    """A load on the stack, and the faults that it has to bear."""

    def __init__(self, stack: Stack, ingests: Sequence[IngestProcess], seed: int) -> None:
        # Two processes may store what follows within moments in either order.
        senders = make_senders(stack, correct=len(ingests) == 1)
        self._stack = stack
        self._contexts = [stack.tenants[slug] for slug in TENANTS]
        self._load = Load(senders, seed)
        self._devices = {sender.slug for sender in senders}
        self._dice = random.Random(seed)
        self._faults = Faults(stack, ingests, self._dice)
        self._ingests = ingests

    def fight(self, rounds: int) -> None:
        """All rounds under load; then everything sent is acknowledged."""
        self._load.start()
        try:
            for number, round_ in enumerate(plan(self._dice, rounds), 1):
                print(f"{datetime.now(UTC):%H:%M:%S} round {number}: {round_}", flush=True)
                self._faults.happen(round_)
        finally:
            self._load.stop()
        self._load.finish()

    def check(self) -> None:
        """What was sent is stored, once and with its last value; nothing else is."""
        sent = self._load.sent
        may_lack = without_promise(self._load.senders, self._faults.broker_killed_at)
        difference = self._settled(sent, may_lack)
        stored = dict(self._stored())
        print(
            f"{self._load.messages} messages with {len(sent)} readings; {len(may_lack)} without a promise, "
            f"of which the broker lost {len(may_lack - stored.keys())}"
        )
        letters = count_dead_letters(self._stack.databases, self._contexts)
        logs = "\n".join(each.log.read_text()[-5000:] for each in self._ingests)
        assert not difference, f"{difference}; {letters} dead letters\n{logs}"
        assert letters == 0
        latest = latest_values(self._stack.databases, self._contexts)
        newest = {key[:3]: stored[key] for key in sorted(stored)}
        assert {place: value for place, value in latest.items() if place[1] in self._devices} == newest

    def _settled(self, sent: dict[Key, float], may_lack: frozenset[Key]) -> Difference:
        """The difference, once nothing is lacking any more or nothing comes any more."""
        deadline = time.monotonic() + 60
        while compare(sent, self._stored(), may_lack).lost and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(1)  # nothing to wait for: more than was sent would be a fault
        return compare(sent, self._stored(), may_lack)

    def _stored(self) -> list[tuple[Key, float]]:
        found = stored_readings(self._stack.databases, self._contexts)
        return [(key, value) for key, value in found if key.device in self._devices]


@pytest.fixture
def pair(stack: Stack, tmp_path: Path) -> Iterator[list[IngestProcess]]:
    """Two ingest processes that share the messages, in place of the one."""
    stack.ingest.stop()
    shares = {"INSULA_INGEST_SHARE": "true"}
    processes = [
        IngestProcess(
            tmp_path,
            stack.environment | shares | {"INSULA_INGEST_CLIENT_ID": f"insula-ingest-{number}"},
            f"ingest-{number}",
        )
        for number in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.wait_ready()
    yield processes
    for process in processes:
        process.stop()
    stack.ingest.start()
    stack.ingest.wait_ready()


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_what_was_accepted_is_stored_once_whatever_is_killed(stack: Stack, seed: int):
    bout = Bout(stack, [stack.ingest], seed)
    bout.fight(ROUNDS)
    bout.check()


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_two_ingest_processes_share_the_messages_and_lose_none(
    stack: Stack, pair: list[IngestProcess], seed: int
):
    bout = Bout(stack, pair, seed)
    bout.fight(ROUNDS // 3)
    bout.check()
