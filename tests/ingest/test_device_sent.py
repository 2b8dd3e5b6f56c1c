"""What a device keeps of what the broker has acknowledged, and for how long."""

from __future__ import annotations

from insula_ingest.device.sent import KEPT, Sent, SentMessages
from insula_platform.broker.mosquitto import AUTOSAVE


def sent(messages: SentMessages, *payloads: bytes, at: float = 100.0) -> list[Sent]:
    return [messages.add(payload, at) for payload in payloads]


def test_what_was_acknowledged_lately_is_sent_again_with_all_that_came_after_it():
    messages = SentMessages()
    first, second, _on_its_way = sent(messages, b"1", b"2", b"3")
    messages.acknowledge(first, 100.0)
    messages.acknowledge(second, 100.1)
    assert messages.take_all() == [b"1", b"2", b"3"]
    assert messages.take_all() == []


def test_what_is_only_on_its_way_is_left_to_the_connection():
    messages = SentMessages()
    sent(messages, b"1", b"2")
    assert messages.take_all() == []
    assert messages.take_all(out_of_order=True) == [b"1", b"2"]


def test_a_message_is_safe_when_the_broker_has_answered_twice_what_was_sent_after_the_time():
    messages = SentMessages()
    [first] = sent(messages, b"1", at=100.0)
    messages.acknowledge(first, 100.1)
    second, third = sent(messages, b"2", b"3", at=100.2 + KEPT)
    messages.acknowledge(second, 100.3 + KEPT)  # it may be killed before it writes
    assert messages.take_all() == [b"1", b"2", b"3"]
    [first] = sent(messages, b"1", at=200.0)
    messages.acknowledge(first, 200.1)
    second, third = sent(messages, b"2", b"3", at=200.2 + KEPT)
    messages.acknowledge(second, 200.3 + KEPT)
    messages.acknowledge(third, 200.3 + KEPT)
    assert messages.take_all() == [b"2", b"3"]


def test_answers_that_were_read_late_prove_nothing():
    messages = SentMessages()
    first, second, third = sent(messages, b"1", b"2", b"3", at=100.0)
    messages.acknowledge(first, 100.1)
    messages.acknowledge(second, 110.0)
    messages.acknowledge(third, 110.0)
    assert messages.take_all() == [b"1", b"2", b"3"]


def test_what_nobody_took_is_sent_again_from_there_on():
    messages = SentMessages()
    first, second, third = sent(messages, b"1", b"2", b"3")
    messages.acknowledge(first, 100.0)
    messages.give_back(second)
    messages.acknowledge(third, 100.1)
    assert messages.returned == 1
    assert messages.take_returned() == [b"2", b"3"]
    assert messages.returned == 0
    assert messages.take_all() == [b"1"]


def test_an_answer_to_a_message_that_was_sent_again_meanwhile_changes_nothing():
    messages = SentMessages()
    first, second, third = sent(messages, b"1", b"2", b"3")
    messages.acknowledge(first, 100.0)
    assert messages.take_all() == [b"1", b"2", b"3"]
    messages.give_back(second)
    messages.refuse(third)
    assert messages.returned == 0
    assert messages.take_returned() == messages.take_all() == []


def test_a_refused_message_is_not_sent_again():
    messages = SentMessages()
    first, second = sent(messages, b"1", b"2")
    messages.acknowledge(first, 100.0)
    messages.refuse(second)
    assert messages.take_all() == [b"1"]


def test_our_broker_writes_to_disk_in_less_time_than_devices_keep():
    assert AUTOSAVE + 1 < KEPT / 2
