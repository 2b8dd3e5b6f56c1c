"""paho's client on a socket that keeps the message path to itself.

paho reads a packet in three or four calls to the kernel, makes several objects of it, and writes each
acknowledgement with a call of its own. That is most of what a message costs. So PUBLISH packets are read
here, in bulk, and PUBACKs leave in bulk; paho sees all other packets and keeps what it is good at:
connecting, signing in, subscribing, its errors and reasons. Beyond paho's public interface this overrides one
method, `_create_socket`; docs/decisions/0016 has what it gains.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as mqtt

from insula_ingest.messages import Message
from insula_ingest.packets import PacketSplitter, pubacks

_READ = 128 * 1024
"""Bytes to read at once: more than a TLS record's 16 KiB, so that none is left behind in the TLS layer, where
`select` cannot see it."""
_HANDSHAKE = 10.0
"""Seconds that a TLS handshake may take."""
_TCP_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))


class MessageSocket:
    """A non-blocking socket as paho uses it, less the messages. What is sent waits for `flush`."""

    def __init__(self, raw: socket.socket, splitter: PacketSplitter) -> None:
        self._raw = raw
        self._in_records = isinstance(raw, ssl.SSLSocket)
        """TLS gives what it reads record by record, of at most 16 KiB."""
        self._splitter = splitter
        self._for_paho = bytearray()
        self._ended: OSError | None = None
        self._unsent = bytearray()
        self.reading_waits_to_write = False
        """TLS has to send something before it can read on: call `receive` when the socket takes bytes."""
        self.writing_waits_to_read = False
        """TLS has to read something before it can send on: call `flush` when the socket has bytes."""

    def receive(self) -> list[Message]:
        """Read once from the kernel: the messages that came whole; what is for paho is `pending`."""
        try:
            messages, others = self._splitter.feed(self._read())
        except OSError as error:
            self._ended = error
            return []
        self._for_paho += others
        return messages

    def _read(self) -> bytes:
        """What has come. Where the connection has ended, the end is noted behind it."""
        self.reading_waits_to_write = False
        read = bytearray()
        try:
            while len(read) < _READ:
                chunk = self._raw.recv(_READ)
                if not chunk:
                    raise ConnectionResetError("the broker has closed the connection")
                read += chunk
                if not self._in_records:
                    break  # the kernel gave all it has
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            self.reading_waits_to_write = True
        except OSError as error:
            self._ended = error
        return bytes(read)

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Queue a PUBACK for each packet identifier."""
        self._unsent += pubacks(mids)

    def pending(self) -> int:
        """Bytes that paho has not read yet; one more when there will be no others."""
        return len(self._for_paho) + (self._ended is not None)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes for paho; raises as a socket does when there are none."""
        if not self._for_paho:
            raise self._ended or BlockingIOError
        taken = bytes(self._for_paho[:size])
        del self._for_paho[:size]
        return taken

    def send(self, data: bytes) -> int:
        """Take all of `data`, to be sent by `flush`."""
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Send what waits; whether the kernel took all of it. A broken connection is told by `recv`."""
        self.writing_waits_to_read = False
        while self._unsent:
            try:
                # After a TLS socket took nothing, it must be offered the same bytes again. It is: they stay
                # at the front.
                sent = self._raw.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return False
            except ssl.SSLWantReadError:
                self.writing_waits_to_read = True
                return False
            except OSError as error:
                self._ended = self._ended or error
                self._unsent.clear()
                return True
            del self._unsent[:sent]
        return True

    def fileno(self) -> int:
        """The socket's file descriptor; -1 when it is closed."""
        return self._raw.fileno()

    def setblocking(self, flag: bool) -> None:
        """As the socket's own."""
        self._raw.setblocking(flag)

    def close(self) -> None:
        """Send what the kernel still takes, such as a DISCONNECT, and close."""
        self.flush()
        self._raw.close()


class MessageClient(mqtt.Client):
    """paho's client, to be driven by `loop_read`, `loop_write` and `loop_misc`."""

    link: MessageSocket | None = None
    new_splitter: Callable[[], PacketSplitter]
    tls: ssl.SSLContext | None = None
    """Set here and not by `tls_set_context`: paho gives the handshake as long as MQTT's keep-alive, and that
    is off."""

    def _create_socket(self) -> Any:
        raw: Any = super()._create_socket()
        _keep_alive(raw)
        if self.tls is not None:
            raw.settimeout(_HANDSHAKE)
            try:
                raw = self.tls.wrap_socket(raw, server_hostname=self.host)
            except OSError:
                raw.close()
                raise
        self.link = MessageSocket(raw, self.new_splitter())
        return self.link


def _keep_alive(raw: socket.socket) -> None:
    """Let the kernel find out that the other side is gone."""
    with socket.socket(fileno=os.dup(raw.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in _TCP_KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:  # not every system has all of them
                same.setsockopt(socket.IPPROTO_TCP, option, value)
