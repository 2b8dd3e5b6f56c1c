"""Processes are killed at random moments under load: nothing accepted is lost, nothing is stored twice."""

from __future__ import annotations

import os
import random
import time

import pytest

from insula_platform.broker.mosquitto import AUTOSAVE
from insula_tenants.context import TenantContext
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
from tests.e2e.stack import Stack

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or 4)
WRITTEN_WITHIN = AUTOSAVE + 1.5
"""Seconds after which Mosquitto has written to disk what it acknowledged, on a busy machine."""


def make_senders(stack: Stack) -> list[Sender]:
    """In each tenant six devices with our library and one without."""
    senders: list[Sender] = []
    for tenant in TENANTS:
        library = [f"library-{number}" for number in range(6)]
        passwords = stack.onboard(tenant, *library, "plain")
        senders += [LibraryDevice(tenant, slug, passwords[slug], stack.broker.port) for slug in library]
        senders.append(PlainDevice(tenant, "plain", passwords["plain"], stack.broker.port))
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


def contexts_of(stack: Stack) -> list[TenantContext]:
    """The tenants that the load is for."""
    return [stack.tenants[slug] for slug in TENANTS]


def settled(stack: Stack, sent: dict[Key, float], may_lack: frozenset[Key]) -> Difference:
    """The difference, once nothing is lacking any more or nothing comes any more."""
    deadline, tenants = time.monotonic() + 60, contexts_of(stack)
    while True:
        difference = compare(sent, stored_readings(stack.databases, tenants), may_lack)
        if not difference.lost or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    time.sleep(1)  # nothing to wait for: more than was sent would be a fault
    return compare(sent, stored_readings(stack.databases, tenants), may_lack)


@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_what_was_accepted_is_stored_once_whatever_is_killed(stack: Stack, seed: int):
    dice = random.Random(seed)
    load = Load(make_senders(stack), seed)
    faults = Faults(stack, [stack.ingest], dice)
    load.start()
    try:
        for number, round_ in enumerate(plan(dice, ROUNDS), 1):
            print(f"round {number}: {round_}", flush=True)
            faults.happen(round_)
    finally:
        load.stop()
    load.finish()
    may_lack = without_promise(load.senders, faults.broker_killed_at)
    difference, contexts = settled(stack, load.sent, may_lack), contexts_of(stack)
    stored = dict(stored_readings(stack.databases, contexts))
    print(
        f"{load.messages} messages with {len(load.sent)} readings; {len(may_lack)} without a promise, "
        f"of which the broker lost {len(may_lack - stored.keys())}"
    )
    assert not difference, f"CHAOS_SEED={seed}: {difference}\n{stack.ingest.log.read_text()[-5000:]}"
    assert count_dead_letters(stack.databases, contexts) == 0
    newest = {key[:3]: stored[key] for key in sorted(stored)}
    assert latest_values(stack.databases, contexts) == newest
