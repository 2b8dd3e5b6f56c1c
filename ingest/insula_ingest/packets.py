"""Tell PUBLISH packets from all others in what an MQTT connection brings, and read them.

(MQTT 5, sections 2.1, 3.3 and 3.4; MQTT 3.1.1 has the same without properties.)
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable

from insula_ingest.messages import LONGEST_TOPIC, Message

_PUBLISH = 0x30
_PUBACK = 0x40
_MOST_TOPICS = 200_000


class MalformedPacketError(ConnectionError):
    """The other side does not speak MQTT: the connection is of no use any more."""


class PacketSplitter:
    """Takes a connection's bytes in any pieces. One per connection."""

    def __init__(self, *, properties: bool, most: int, kept: int, session: int) -> None:
        """`properties`: packets have them (MQTT 5). Of a packet larger than `most` bytes, `kept` are kept."""
        self._properties = properties
        self._most, self._kept = most, kept
        self._session = session
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 2
        self._skipping = 0
        """Bytes of a packet too large that are still to come."""
        self._topics: dict[bytes, str] = {}
        self._last = 0

    def feed(self, chunk: bytes) -> tuple[list[Message], bytes]:
        """The messages that `chunk` completes, and the other packets as they are."""
        if self._skipping:
            skipped = min(self._skipping, len(chunk))
            self._skipping -= skipped
            chunk = chunk[skipped:]
        self._parts.append(chunk)
        self._size += len(chunk)
        if self._size < self._needed:
            return [], b""
        data = chunk if len(self._parts) == 1 else b"".join(self._parts)
        messages: list[Message] = []
        others = bytearray()
        try:
            position = self._split(data, messages, others)
        except IndexError:
            raise MalformedPacketError("a PUBLISH that is shorter than its fields") from None
        rest = data[position:]
        self._parts, self._size = ([rest], len(rest)) if rest else ([], 0)
        return messages, bytes(others)

    def _split(self, data: bytes, messages: list[Message], others: bytearray) -> int:
        """Read whole packets; how many bytes they had."""
        position, end = 0, len(data)
        self._last = max(self._last, time.time_ns() // 1000)
        while end - position >= 2:
            length, start = data[position + 1], position + 2
            if length & 0x80:
                found = _length(data, position + 1)
                if found is None:
                    self._needed = end - position + 1
                    return position
                length, start = found
            stop = start + length
            is_publish = data[position] & 0xF0 == _PUBLISH
            if stop > end:
                too_large = is_publish and length > self._most
                self._needed = (start + self._kept if too_large else stop) - position
                if not too_large or end < start + self._kept:
                    return position
                self._skipping = stop - end
            if not is_publish:
                others += data[position:stop]
            elif length > self._most:
                messages.append(self._message(data, position, start, min(start + self._kept, end), length))
            else:
                messages.append(self._message(data, position, start, stop, length))
            position = min(stop, end)
        self._needed = 2
        return position

    def _message(self, data: bytes, position: int, start: int, stop: int, length: int) -> Message:
        topic_end = start + 2 + (data[start] << 8) + data[start + 1]
        raw = data[start + 2 : topic_end]
        topic = self._topics.get(raw)
        if topic is None:
            topic = self._new_topic(raw)
        payload, mid = topic_end, 0
        if data[position] & 0x06:
            mid = (data[payload] << 8) + data[payload + 1]
            payload += 2
        if self._properties:
            if data[payload]:
                found = _length(data, payload)
                if found is None:
                    raise MalformedPacketError("a length without an end")
                payload = found[0] + found[1]
            else:
                payload += 1
        self._last += 1
        size = length - (payload - start)
        return Message(topic, data[payload:stop], size, self._last, mid, self._session)

    def _new_topic(self, raw: bytes) -> str:
        # A broker lets no other topics pass; from one that does, this names nobody.
        topic = raw.decode("utf-8", "replace")
        if len(raw) <= LONGEST_TOPIC:  # one device may send a great many, of 64 KiB each
            if len(self._topics) >= _MOST_TOPICS:
                self._topics.clear()
            self._topics[raw] = topic
        return topic


def pubacks(mids: Iterable[int]) -> bytes:
    """PUBACK packets (reason code 0, which needs no byte of its own)."""
    return b"".join(_PUBACK_PACKET(_PUBACK, 2, mid) for mid in mids)


_PUBACK_PACKET = struct.Struct("!BBH").pack


def _length(data: bytes, position: int) -> tuple[int, int] | None:
    """A variable byte integer and where it ends; None when its end has not come yet."""
    value = 0
    for shift, byte in enumerate(data[position : position + 4]):
        value |= (byte & 0x7F) << (7 * shift)
        if not byte & 0x80:
            return value, position + shift + 1
    if len(data) - position >= 4:
        raise MalformedPacketError("a length of more than four bytes")
    return None
