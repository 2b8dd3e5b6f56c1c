"""A flood waits behind itself."""

from __future__ import annotations

import threading
import time

from insula_ingest.fair import FairQueue


def queue(most_weight: int = 1_000_000) -> FairQueue[str, int]:
    return FairQueue(lambda item: item, most_weight=most_weight)


def test_all_is_taken_in_order_when_there_is_room():
    waiting = queue()
    waiting.put({"a": [1, 2], "b": [3]})
    waiting.put({"a": [4]})
    assert waiting.take(most=10, seconds=0, idle=0) == {"a": [1, 2, 4], "b": [3]}
    assert waiting.take(most=10, seconds=0, idle=0) == {}


def test_who_sends_little_is_whole_in_the_next_batch_whatever_others_send():
    waiting = queue()
    waiting.put({"flood": list(range(1000))})
    waiting.put({"quiet": [1, 2], "other": [3]})
    batch = waiting.take(most=100, seconds=0, idle=0)
    assert (batch["quiet"], batch["other"]) == ([1, 2], [3])
    assert batch["flood"] == list(range(97))
    assert waiting.take(most=100, seconds=0, idle=0) == {"flood": list(range(97, 197))}


def test_two_floods_have_the_same():
    waiting = queue()
    waiting.put({"a": list(range(1000)), "b": list(range(1000))})
    batch = waiting.take(most=100, seconds=0, idle=0)
    assert {owner: len(items) for owner, items in batch.items()} == {"a": 50, "b": 50}


def test_a_batch_closes_with_its_weight():
    waiting = queue(most_weight=100)
    waiting.put({"a": [60, 60, 60]})
    assert waiting.take(most=10, seconds=0, idle=0) == {"a": [60, 60]}
    assert len(waiting) == 1


def test_a_batch_closes_with_its_size_before_its_time():
    waiting = queue()
    waiting.put({"a": [1]})
    later = threading.Timer(0.05, lambda: waiting.put({"a": [2, 3]}))
    later.start()
    started = time.monotonic()
    assert waiting.take(most=3, seconds=60, idle=0) == {"a": [1, 2, 3]}
    assert time.monotonic() - started < 30
    later.join()


def test_closing_ends_the_wait():
    waiting = queue()
    waiting.put({"a": [1]})
    threading.Timer(0.05, waiting.close).start()
    assert waiting.take(most=3, seconds=60, idle=0) == {"a": [1]}
