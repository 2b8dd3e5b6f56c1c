"""What the message path reads past paho, byte for byte."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_ingest.messages import Address, Message, address_of
from insula_ingest.packets import MalformedPacketError, PacketSplitter, pubacks

MOST, KEPT = 300, 100


def splitter(*, properties: bool = True) -> PacketSplitter:
    return PacketSplitter(properties=properties, most=MOST, kept=KEPT, session=7)


def length(size: int) -> bytes:
    encoded = bytearray()
    while True:
        size, byte = divmod(size, 128)
        encoded.append(byte | (0x80 if size else 0))
        if not size:
            return bytes(encoded)


def publish(
    topic: str, payload: bytes, mid: int = 1, *, properties: bytes | None = b"", qos: int = 1
) -> bytes:
    body = struct.pack("!H", len(topic.encode())) + topic.encode()
    if qos:
        body += struct.pack("!H", mid)
    if properties is not None:
        body += length(len(properties)) + properties
    body += payload
    return bytes([0x30 | qos << 1]) + length(len(body)) + body


def read(stream: bytes, cuts: list[int], *, properties: bool = True) -> tuple[list[Message], bytes]:
    """What comes out of the stream when it arrives in these pieces."""
    ours = splitter(properties=properties)
    messages: list[Message] = []
    others = b""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, stop in pairwise(edges):
        more, rest = ours.feed(stream[start:stop])
        messages += more
        others += rest
    return messages, others


packets = st.one_of(
    st.builds(
        lambda topic, payload, mid, properties, qos: (
            publish(topic, payload, mid, properties=properties, qos=qos),
            (topic, payload, mid if qos else 0),
        ),
        st.sampled_from(["tenants/a/devices/b/telemetry", "é", "t"]),
        st.binary(max_size=200),
        st.integers(1, 65535),
        st.sampled_from([b"", b"\x01\x01", b"\x26" + b"\0\1a" * 50]),
        st.sampled_from([0, 1]),
    ),
    st.sampled_from([(b"\xd0\x00", None), (b"\x90\x04\x00\x01\x00\x01", None)]),
)


@given(st.lists(packets, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_packets_come_out_as_they_went_in_however_they_are_cut(
    given_packets: list[tuple[bytes, tuple[str, bytes, int] | None]], cuts: list[int]
):
    stream = b"".join(packet for packet, _ in given_packets)
    small = [(packet, what) for packet, what in given_packets if what is None or len(packet) <= MOST]
    if len(small) < len(given_packets):
        return
    messages, others = read(stream, cuts)
    assert [(each.topic, each.payload, each.mid) for each in messages] == [what for _, what in small if what]
    assert others == b"".join(packet for packet, what in small if what is None)
    assert all(each.size == len(each.payload) and each.session == 7 for each in messages)
    assert all(before.received_at < after.received_at for before, after in pairwise(messages))


@given(st.integers(MOST, 5000), st.lists(st.integers(0, 10_000), max_size=12))
def test_of_a_packet_too_large_the_beginning_is_kept_and_the_size_is_told(size: int, cuts: list[int]):
    payload = bytes(number % 251 for number in range(size))
    stream = publish("t", payload, 5) + publish("t", b"next", 6)
    large, following = read(stream, cuts)[0]
    assert (large.size, large.mid) == (size, 5)
    assert 0 < len(large.payload) <= KEPT
    assert payload.startswith(large.payload)
    assert (following.payload, following.mid) == (b"next", 6)


def test_mqtt_3_has_no_properties():
    (message,), _ = read(publish("t", b"\x05abc", properties=None), [], properties=False)
    assert message.payload == b"\x05abc"


@pytest.mark.parametrize(
    "stream",
    [
        b"\x30\xff\xff\xff\xff\xff",
        b"\x30\x00",
        b"\x32\x02\x00\x00",
        b"\x32\x04\x00\x00\x00\x01",
        b"\x30\x03\xff\xffx",
    ],
)
def test_what_is_no_mqtt_ends_the_connection(stream: bytes):
    with pytest.raises(MalformedPacketError):
        splitter().feed(stream)


def test_acknowledgements_are_four_bytes_each():
    assert pubacks([1, 65535]) == b"\x40\x02\x00\x01\x40\x02\xff\xff"


def test_topics_name_a_device_and_perhaps_its_gateway():
    assert address_of("tenants/acme/devices/desk-1/telemetry") == Address("acme", "desk-1")
    assert address_of("tenants/acme/devices/gw/children/desk-1/telemetry") == Address("acme", "desk-1", "gw")
    for topic in ("tenants/acme", "tenants/acme/devices/desk-1/status", "x/acme/devices/d/telemetry", ""):
        assert address_of(topic) is None


def test_topics_of_any_length_are_read_and_no_long_ones_are_remembered():
    """A gateway may make up names for its children, 64 KiB each, as many as it likes."""
    reader = PacketSplitter(properties=True, most=5000, kept=5000, session=7)
    short, long = (f"tenants/acme/devices/gw/children/{'x' * size}/telemetry" for size in (40, 4000))
    for topic in (short, long, long):
        assert reader.feed(publish(topic, b""))[0][0].topic == topic
    assert list(reader._topics.values()) == [short]
    assert address_of(short) == Address("acme", "x" * 40, "gw")
    assert address_of(long) is None
