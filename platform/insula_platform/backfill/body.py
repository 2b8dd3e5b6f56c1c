"""A request's body, read from a worker thread: no more of it is in memory than was asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from anyio import from_thread

from insula_platform.backfill.errors import BodyTooLarge, Stalled

MAX_BYTES = 1024 * 1024 * 1024
"""Of one body."""
PATIENCE = 30.0
"""Seconds that a client may send nothing."""
SLOWEST = 8 * 1024
"""Bytes a second that a client must send in the long run: an upload keeps others waiting."""


class Body:
    """The chunks of a body as they arrive, to be iterated or read like a file."""

    closed = False

    def __init__(self, stream: AsyncIterator[bytes], *, most_at_once: int) -> None:
        """`read` refuses to hold more than `most_at_once` bytes."""
        self._stream = stream
        self._most = most_at_once
        self._rest = b""
        self._bytes = 0
        self._waited = 0.0
        """Seconds for the client; what we do meanwhile is not its fault."""

    def __iter__(self) -> Iterator[bytes]:
        """The chunks. Raises `BodyTooLarge`, `Stalled`, and Starlette's `ClientDisconnect`."""
        while chunk := self._next():
            yield chunk

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer at the end; errors as those of the chunks."""
        if size < 0 or size > self._most:
            raise BodyTooLarge(
                f"a batch of {size} bytes: send record batches of at most {self._most} bytes each"
            )
        parts, missing = [self._rest], size - len(self._rest)
        while missing > 0 and (chunk := self._next()):
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def _next(self) -> bytes:
        begun = time.monotonic()
        chunk = from_thread.run(self._receive)
        self._waited += time.monotonic() - begun
        self._bytes += len(chunk)
        if self._waited > PATIENCE + self._bytes / SLOWEST:
            raise Stalled(f"less than {SLOWEST} bytes a second came: send faster, or in parts")
        if self._bytes > MAX_BYTES:
            raise BodyTooLarge(f"a body has at most {MAX_BYTES} bytes: send it in parts")
        return chunk

    async def _receive(self) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                async for chunk in self._stream:
                    if chunk:
                        return chunk
        except TimeoutError:
            raise Stalled(f"nothing came for {PATIENCE:.0f} seconds") from None
        return b""
