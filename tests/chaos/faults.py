"""What happens to the processes, drawn from a seed: which, when, and for how long."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.e2e.stack import IngestProcess, Stack
from tests.servers.mosquitto import BrokerProcess

Victim = Literal["ingest", "broker", "postgres"]
How = Literal["kill", "halt"]

ONE: tuple[tuple[Victim, ...], ...] = (("ingest",), ("broker",), ("postgres",))
SEVERAL: tuple[tuple[Victim, ...], ...] = (
    ("ingest", "broker"),
    ("broker", "postgres"),
    ("postgres", "ingest"),
    ("broker", "ingest", "postgres"),
)


@dataclass(frozen=True)
class Round:
    """One fault: after `wait` seconds the victims fall in this order, and are back `down` seconds later."""

    wait: float
    victims: tuple[Victim, ...]
    how: How
    down: float

    def __str__(self) -> str:
        return f"after {self.wait:.2f} s {self.how} {' and '.join(self.victims)} for {self.down:.2f} s"


def plan(dice: random.Random, rounds: int) -> list[Round]:
    """Most rounds kill one process, some two or all three, some only halt one; each kind of fault occurs."""
    kinds: list[tuple[tuple[Victim, ...], How]] = [(victims, "kill") for victims in (*ONE, *ONE, *SEVERAL)]
    kinds += [(victims, "halt") for victims in ONE]
    drawn: list[tuple[tuple[Victim, ...], How]] = []
    while len(drawn) < rounds:
        drawn += dice.sample(kinds, len(kinds))
    # Short waits as often as long ones: some faults meet a process that is only just starting.
    return [
        Round(dice.choice((0.4, 1.5, 4.0)) * dice.random(), victims, how, dice.uniform(0, 1.5))
        for victims, how in drawn[:rounds]
    ]


@dataclass
class Faults:
    """Makes the faults happen, and writes down when the broker was killed."""

    stack: Stack
    ingests: Sequence[IngestProcess]
    dice: random.Random
    broker_killed_at: list[float] = field(default_factory=list)
    """Monotonic seconds."""

    def happen(self, round_: Round) -> None:
        """One round, from the wait to the return of all victims."""
        time.sleep(round_.wait)
        with ExitStack() as down:
            for victim in round_.victims:
                down.enter_context(getattr(self, f"_{victim}_{round_.how}ed")())
            time.sleep(round_.down)

    @contextmanager
    def _ingest_killed(self) -> Iterator[None]:
        ingest = self.dice.choice(self.ingests)
        ingest.stop(signal.SIGKILL)
        yield
        ingest.start()

    @contextmanager
    def _broker_killed(self) -> Iterator[None]:
        self.broker_killed_at.append(time.monotonic())
        self.stack.broker.stop(signal.SIGKILL)
        yield
        self.stack.broker.start()

    @contextmanager
    def _postgres_killed(self) -> Iterator[None]:
        with self.stack.postgres.away(crash=True):
            yield

    @contextmanager
    def _ingest_halted(self) -> Iterator[None]:
        with _halted(self.dice.choice(self.ingests)):
            yield

    @contextmanager
    def _broker_halted(self) -> Iterator[None]:
        with _halted(self.stack.broker):
            yield

    @contextmanager
    def _postgres_halted(self) -> Iterator[None]:
        with self.stack.postgres.halted():
            yield


@contextmanager
def _halted(process: IngestProcess | BrokerProcess) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
