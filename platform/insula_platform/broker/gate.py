"""The gate before amqtt: it looks at a CONNECT before amqtt does.

amqtt 0.12 lets a client act before it is known. A CONNECT with another's client id ends or takes over that
session before its password is looked at, and a last will goes to any topic. And a second connection under one
client id leaves the first open. So the gate reads the CONNECT, checks password, client id and last will, ends
the older connection of that client id, and only then hands the new one over.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import time
from dataclasses import dataclass, field

from amqtt.adapters import BufferReader, StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connack import (
    BAD_USERNAME_PASSWORD,
    IDENTIFIER_REJECTED,
    NOT_AUTHORIZED,
    SERVER_UNAVAILABLE,
    UNACCEPTABLE_PROTOCOL_VERSION,
    ConnackPacket,
)
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.packet import CONNECT, MQTTFixedHeader
from sqlalchemy.exc import SQLAlchemyError

from insula_platform.broker.decisions import Decisions
from insula_platform.broker.device_logins import REMEMBERED, DeviceLogins
from insula_tenants.broker.passwords import PasswordHash

log = logging.getLogger("insula.broker")

CONNECT_TIMEOUT = 10.0
"""Seconds from a client's arrival until it must be let in."""
CONNECT_LIMIT = 256 * 1024
"""Bytes of a CONNECT, last will included."""
_ANSWERS = {
    "nobody": BAD_USERNAME_PASSWORD,
    "denied": NOT_AUTHORIZED,
    "other-client-id": IDENTIFIER_REJECTED,
    "registry-away": SERVER_UNAVAILABLE,
}
MQTT_5_REFUSAL = bytes([0x20, 3, 0, 0x84, 0])
"""CONNACK of MQTT 5: unsupported protocol version."""


class Refused(Exception):
    """The CONNECT is turned away; `answer` is the CONNACK to send."""

    def __init__(self, code: int, answer: bytes | None = None) -> None:
        """`code` is an MQTT 3.1.1 return code."""
        super().__init__(code)
        self.answer = answer or ConnackPacket.build(0, code).to_bytes()


class CheckedReader(StreamReaderAdapter):  # type: ignore[misc] # amqtt ships no types
    """Gives amqtt the CONNECT that the gate has read, then the connection, until the client falls silent.

    amqtt does not end a connection whose client stopped sending: here it ends, and the last will goes out,
    after one and a half times the keep-alive interval (MQTT 3.1.1, section 3.1.2.10).
    """

    def __init__(self, connect: bytes, reader: asyncio.StreamReader, keep_alive: int) -> None:
        """`keep_alive` in seconds; 0 means no limit."""
        super().__init__(reader)
        self._connect = io.BytesIO(connect)
        self._patience = 1.5 * keep_alive if keep_alive else None
        self._heard = time.monotonic()

    async def read(self, n: int = -1) -> bytes:
        """The next `n` bytes, none at the end."""
        if first := self._connect.read(n):
            return first
        left = self._heard + self._patience - time.monotonic() if self._patience else None
        try:
            async with asyncio.timeout(left):
                data: bytes = await super().read(n)
        except TimeoutError:
            return b""
        self._heard = time.monotonic()
        return data


@dataclass(eq=False)
class Connection:
    """A connection that was let in."""

    connect: ConnectPacket
    packet: bytes
    """The CONNECT as it was sent."""
    kept: PasswordHash
    """The hash that its password was checked against."""
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Close the socket without waiting for the client."""
        self.writer.transport.abort()


class Gate:
    """Accepts connections, lets through those that may, and ends those that may no longer."""

    def __init__(self, broker: Broker, listener: str, logins: DeviceLogins, decisions: Decisions) -> None:
        """`listener` is the broker's external one."""
        self._broker = broker
        self._listener = listener
        self._logins = logins
        self._decisions = decisions
        self._live: dict[str, Connection] = {}

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        output = StreamWriterAdapter(writer)
        connection = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await self._admit(reader, writer)
            checked = CheckedReader(connection.packet, reader, connection.connect.keep_alive)
            await self._broker.external_connected(checked, output, self._listener)
        except Refused as refusal:
            writer.write(refusal.answer)
        except (AMQTTError, MQTTError, NoDataError, EOFError, OSError, TimeoutError, ValueError):
            log.debug("a connection ended with a malformed or missing packet", exc_info=True)
        finally:
            if connection is not None:
                del self._live[connection.connect.client_id]
                connection.ended.set()
            with contextlib.suppress(OSError):
                await output.close()

    async def watch(self) -> None:
        """End the connections of devices whose login is gone or has another password, every few seconds."""
        while True:
            await asyncio.sleep(REMEMBERED)
            devices = {
                one.connect.username: one
                for one in self._live.values()
                if not self._decisions.is_service(one.connect.username)
            }
            if not devices:
                continue
            try:
                current = await self._logins.current(devices)
            except SQLAlchemyError:
                self._decisions.note_registry(away=True)
                continue
            self._decisions.note_registry(away=False)
            for username, connection in devices.items():
                if current.get(username) != connection.kept:
                    self._logins.forget(username)
                    connection.end()

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        """The connection in its client id's place, or `Refused`."""
        packet, connect = await _read_connect(reader)
        decision = await self._decisions.connect(
            connect.username or "",
            connect.password,
            connect.client_id,
            will_topic=(connect.will_topic or "") if connect.will_flag else None,
        )
        if decision.kept is None:
            raise Refused(_ANSWERS[decision.outcome])
        connection = Connection(connect, packet, decision.kept, writer)
        while older := self._live.get(connect.client_id):
            older.end()
            await older.ended.wait()
        self._live[connect.client_id] = connection
        return connection


async def _read_connect(reader: asyncio.StreamReader) -> tuple[bytes, ConnectPacket]:
    fixed = await MQTTFixedHeader.from_stream(StreamReaderAdapter(reader))
    if fixed is None or fixed.packet_type != CONNECT or fixed.remaining_length > CONNECT_LIMIT:
        raise MQTTError("the first packet is no CONNECT")
    body = await reader.readexactly(fixed.remaining_length)
    level = body[6] if body[:6] == b"\x00\x04MQTT" and len(body) > 6 else 0
    if level != 4:
        raise Refused(UNACCEPTABLE_PROTOCOL_VERSION, MQTT_5_REFUSAL if level == 5 else None)
    connect = await ConnectPacket.from_stream(BufferReader(body), fixed_header=fixed)
    return fixed.to_bytes() + body, connect
