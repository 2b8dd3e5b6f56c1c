"""A queue in which nobody waits behind another's flood."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """Items by owner. Each owner's leave in order; a batch that has no room for all has the same for each."""

    def __init__(self, weight: Callable[[T], int], *, most_weight: int) -> None:
        """A batch closes with `most_weight` in all, as `weight` has it."""
        self._weight = weight
        self._most_weight = most_weight
        self._waiting: dict[K, deque[T]] = {}
        self._count = 0
        self._wanted = 1
        self._since = 0.0
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def put(self, groups: Mapping[K, Sequence[T]]) -> None:
        """Add items to the end of their owners' queues."""
        with self._changed:
            if not self._count:
                self._since = time.monotonic()
            for owner, items in groups.items():
                self._waiting.setdefault(owner, deque()).extend(items)
                self._count += len(items)
            if self._count >= self._wanted:
                self._changed.notify()

    def take(self, *, most: int, seconds: float, idle: float) -> dict[K, list[T]]:
        """A batch by owner: `most` items, or what came within `seconds` of the first one.

        Empty when none came within `idle` seconds.
        """
        with self._changed:
            self._wanted = 1
            if not self._count:
                self._changed.wait(idle)
            self._wanted = most
            while 0 < self._count < most and not self._closed:
                left = self._since + seconds - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._shares(most)

    def close(self) -> None:
        """Wait for nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _shares(self, most: int) -> dict[K, list[T]]:
        taken: dict[K, list[T]] = {}
        weight = 0
        while self._waiting and most > 0 and weight < self._most_weight:
            share = max(1, most // len(self._waiting))
            for owner in list(self._waiting):
                if most <= 0 or weight >= self._most_weight:
                    break
                queue = self._waiting.pop(owner)
                items = taken.setdefault(owner, [])
                before = len(items)
                while queue and len(items) - before < share and weight < self._most_weight:
                    items.append(queue.popleft())
                    weight += self._weight(items[-1])
                most -= len(items) - before
                self._count -= len(items) - before
                if queue:
                    self._waiting[owner] = queue  # behind those that have not had their turn
        return taken
