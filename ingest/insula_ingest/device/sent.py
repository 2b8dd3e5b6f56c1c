"""What a device has sent and may have to send again.

A broker's acknowledgement is no promise to survive `kill -9`: Mosquitto writes its sessions to disk after a
while, and on whatever setting after it has acknowledged (docs/durability.md). So a device keeps what was
acknowledged until the broker has shown that it lived on for `KEPT` seconds, and sends it again whenever the
connection was lost in between. The platform stores a reading once, however often it comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
"""What is sent, whatever it is."""

KEPT = 5.0
"""Seconds. More than a broker may take to write to disk what it has acknowledged: ours writes every 2."""


@dataclass(slots=True, eq=False)
class Sent(Generic[T]):
    """One message, since it was handed over to the connection."""

    payload: T
    sent_at: float
    """Monotonic seconds."""
    acknowledged_at: float | None = None
    """None while it is on its way."""
    returned: bool = False
    """The broker has it, and nobody who would take it."""
    replaced: bool = False
    """It was taken to be sent again: what is answered now does not matter any more."""


class SentMessages(Generic[T]):
    """The messages that a dying broker could take with it, in the order in which they were sent."""

    def __init__(self, forget: Callable[[Iterable[T]], None] = lambda _messages: None) -> None:
        """Nothing is sent. `forget` is told of messages that are never sent again."""
        self.returned = 0
        """How many of them nobody takes."""
        self._forget = forget
        self._messages: deque[Sent[T]] = deque()
        self._alive_at: float | None = None
        """When the broker has lived for certain: it answered what was sent then."""

    def add(self, payload: T, now: float) -> Sent[T]:
        """A message that is sent `now`, in monotonic seconds."""
        message = Sent(payload, now)
        self._messages.append(message)
        return message

    def acknowledge(self, message: Sent[T], now: float) -> None:
        """The broker has taken the message, at `now` in monotonic seconds."""
        message.acknowledged_at = now
        # By when things were sent, not by when an answer is read: it may have waited in this machine. And by
        # the answer before this one: a broker works in rounds, answers and only then writes to disk. When it
        # answers again it has finished the round of the earlier answer, however long it was halted meanwhile.
        if self._alive_at is not None:
            self._forget_before(self._alive_at - KEPT)
        self._alive_at = max(message.sent_at, self._alive_at or message.sent_at)

    def give_back(self, message: Sent[T]) -> None:
        """The broker has nobody who takes the message."""
        if not message.replaced:
            message.returned = True
            self.returned += 1

    def refuse(self, message: Sent[T]) -> None:
        """The broker will never take the message."""
        if not message.replaced:
            self._messages.remove(message)
            self._forget([message.payload])

    def take_all(self, *, out_of_order: bool = False) -> list[T]:
        """All of them, to be sent again; those on their way as well, so that a correction stays the last.

        None when all are on their way, for the connection repeats those by itself; unless it may do so
        `out_of_order`.
        """
        on_their_way = all(each.acknowledged_at is None and not each.returned for each in self._messages)
        if on_their_way and not out_of_order:
            return []
        return self._take(0)

    def take_returned(self) -> list[T]:
        """The first that nobody took, and all that were sent after it."""
        for position, message in enumerate(self._messages):
            if message.returned:
                return self._take(position)
        return []

    def _take(self, position: int) -> list[T]:
        payloads = [message.payload for message in self._messages][position:]
        while len(self._messages) > position:
            self._messages.pop().replaced = True
        self.returned = 0
        return payloads

    def _forget_before(self, time: float) -> None:
        forgotten = []
        while self._messages and (at := self._messages[0].acknowledged_at) is not None and at < time:
            forgotten.append(self._messages.popleft().payload)
        if forgotten:
            self._forget(forgotten)
