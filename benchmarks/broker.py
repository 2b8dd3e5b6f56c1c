"""A Mosquitto for a benchmark, and a sender that is no bottleneck: packets made first, sent in bulk."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Packet = tuple[str, bytes]
"""A topic and a payload."""

_AT_ONCE = 500
"""Messages in flight from a sender."""


@contextmanager
def mosquitto() -> Iterator[int]:
    """The port of a running Mosquitto that keeps every message it has no reader for."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("mosquitto", path=path)
    if program is None:
        raise SystemExit("mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="insula-bench-") as directory:
        config = Path(directory) / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {port} 127.0.0.1\n{user}allow_anonymous true\nmax_queued_messages 0\n"
            "set_tcp_nodelay true\nlog_type none\n"
        )
        process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def reserve(port: int, client_id: str, topic_filter: str) -> None:
    """Subscribe at QoS 1 in a persistent session (MQTT 5), and leave: the broker keeps what comes for it."""
    expiry = b"\x05\x11\xff\xff\xff\xff"
    with connected(port, client_id, version=5, properties=expiry, clean=False) as link:
        body = struct.pack("!H", 1) + b"\0" + _text(topic_filter) + b"\x01"
        link.sendall(_packet(0x82, body))
        _read_until(link, 0x90)
        link.sendall(b"\xe0\x00")


def publish_all(port: int, packets: Sequence[Packet]) -> None:
    """Publish at QoS 1, acknowledged to the last one."""
    made = [
        _packet(0x32, _text(topic) + struct.pack("!H", number % 65535 + 1) + payload)
        for number, (topic, payload) in enumerate(packets)
    ]
    with connected(port, f"sender-{os.urandom(4).hex()}") as link:
        for start in range(0, len(made), _AT_ONCE):
            part = made[start : start + _AT_ONCE]
            link.sendall(b"".join(part))
            _read_exactly(link, 4 * len(part))


@contextmanager
def connected(
    port: int, client_id: str, *, version: int = 4, properties: bytes = b"", clean: bool = True
) -> Iterator[socket.socket]:
    """A socket on which the broker has accepted a CONNECT."""
    flags = 0x02 if clean else 0
    body = _text("MQTT") + bytes([version, flags]) + struct.pack("!H", 0) + properties + _text(client_id)
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(_packet(0x10, body))
        _read_until(link, 0x20)
        yield link


def publish_packet(topic: str, payload: bytes, number: int) -> bytes:
    """A PUBLISH at QoS 1 (MQTT 3.1.1)."""
    return _packet(0x32, _text(topic) + struct.pack("!H", number % 65535 + 1) + payload)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _packet(kind: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, byte = divmod(length, 128)
        encoded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes([kind]) + bytes(encoded) + body


def _read_until(link: socket.socket, kind: int) -> None:
    """Read whole packets up to one of this kind."""
    while True:
        (got,) = _read_exactly(link, 1)
        length = shift = 0
        while True:
            (byte,) = _read_exactly(link, 1)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        _read_exactly(link, length)
        if got & 0xF0 == kind & 0xF0:
            return


def _read_exactly(link: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = link.recv(size)
        if not part:
            raise ConnectionError("the broker has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def flat(groups: Iterable[Iterable[Packet]]) -> list[Packet]:
    """One packet of each group in turn."""
    return [packet for turn in zip(*groups, strict=True) for packet in turn]
