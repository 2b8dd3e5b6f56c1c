"""Rows from an Arrow IPC stream, whose messages are looked at before pyarrow may allocate for them.

The framing (https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format) is read along: a
record batch may be compressed, and then says itself how large it unfolds to. Those are not taken.
Dictionaries are kept for all batches that follow, so they are bounded together. Each batch is validated in
full, as its buffers may not hold what it says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from insula_platform.backfill.errors import Unreadable
from insula_platform.backfill.formats import COLUMNS, Malformed, RawRow, check_columns

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Bytes of one message of the stream: a record batch."""
MAX_METADATA_BYTES = 1024 * 1024
"""Bytes of what a message says of itself; of the schema, for one."""
MAX_DICTIONARY_BYTES = 4 * 1024 * 1024
"""Bytes of all dictionaries that are in force: a hundred thousand names."""
SLICE_ROWS = 10_000
"""Rows that are Python objects at a time."""

_CONTINUATION = b"\xff\xff\xff\xff"
_MICROSECONDS = pa.timestamp("us", tz="UTC")


class _File(Protocol):
    closed: bool

    def read(self, size: int = -1) -> bytes: ...


def read_arrow(body: _File) -> Iterator[RawRow | Malformed]:
    """Rows of the stream, counted from 1. Its columns are those of `COLUMNS`; others are passed over."""
    try:
        with pa.ipc.open_stream(pa.PythonFile(_Watched(body), mode="r")) as reader:
            schema = reader.schema
            check_columns(schema.names)
            places = [_place(schema, column) for column in COLUMNS]
            first = 1
            for batch in reader:
                batch.validate(full=True)
                yield from _rows(batch, places, first)
                first += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # pyarrow's own, not the network's
        raise Unreadable(f"not an Arrow stream: {str(error).splitlines()[0]}") from None


def _place(schema: Any, column: str) -> int | None:
    places = schema.get_all_field_indices(column)
    if len(places) > 1:
        raise Unreadable(f"the column {column} is there {len(places)} times")
    if not places:
        return None
    kind = schema.field(places[0]).type
    if not _FITS[column](kind):
        raise Unreadable(f"the column {column} is {kind}: {_WANTED[column]}")
    return int(places[0])


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_time(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def _is_value(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


_FITS = {
    "point": pa.types.is_integer,
    "device": _is_text,
    "name": _is_text,
    "time": _is_time,
    "value": _is_value,
}
_WANTED = {
    "point": "send an integer, the point's id",
    "device": "send text",
    "name": "send text",
    "time": "send a timestamp with a time zone",
    "value": "send numbers or booleans",
}


def _rows(batch: Any, places: list[int | None], first: int) -> Iterator[RawRow]:
    for start in range(0, batch.num_rows, SLICE_ROWS):
        part = batch.slice(start, SLICE_ROWS)
        columns = [
            [None] * part.num_rows if place is None else _plain(part.column(place)) for place in places
        ]
        yield from zip(range(first + start, first + start + part.num_rows), *columns, strict=True)


def _plain(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # As milliseconds since the epoch, which is how JSON writes a time that is no text.
        return [None if time is None else time / 1000 for time in _microseconds(column)]
    if pa.types.is_dictionary(column.type):
        # Each entry once: `to_pylist` would make a text of its own for each row, however long it is.
        used = column.indices.unique()
        texts = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return [texts[index] for index in column.indices.to_pylist()]
    return column.to_pylist()  # type: ignore[no-any-return] # pyarrow is untyped


def _microseconds(column: Any) -> list[int | None]:
    return column.cast(_MICROSECONDS, safe=False).cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]


class _Watched:
    """A file whose bytes are read along as messages; `Unreadable` for one that is compressed."""

    def __init__(self, body: _File) -> None:
        self._body = body
        self._pending = b""
        self._wanted = 4
        self._inside = "continuation"
        self._dictionaries: dict[int, int] = {}
        """Bytes of each, by its number."""

    @property
    def closed(self) -> bool:
        """As pyarrow asks."""
        return self._body.closed

    def read(self, size: int = -1) -> bytes:
        """The body's bytes, after a look at them."""
        data = self._body.read(size)
        self._look(data)
        return data

    def _look(self, data: bytes) -> None:
        while data:
            take, data = data[: self._wanted], data[self._wanted :]
            self._wanted -= len(take)
            if self._inside != "body":
                self._pending += take
            if not self._wanted:
                self._advance()

    def _advance(self) -> None:
        """A part of the message is here; what comes next, and how many bytes it has."""
        if self._inside == "continuation":
            if self._pending != _CONTINUATION:
                raise Unreadable("not an Arrow stream of format version 5, as Arrow writes it since 0.15")
            self._inside, self._wanted = "length", 4
        elif self._inside == "length":
            length = int.from_bytes(self._pending, "little", signed=True)
            if not 0 <= length <= MAX_METADATA_BYTES:
                raise Unreadable("a message of the Arrow stream has no plausible length")
            self._inside, self._wanted = ("metadata", length) if length else ("continuation", 4)
        else:
            body = self._body_length() if self._inside == "metadata" else 0
            self._inside, self._wanted = ("body", body) if body else ("continuation", 4)
        self._pending = b""

    def _body_length(self) -> int:
        message = _read_message(self._pending)
        if message.dictionary is not None:
            held = self._dictionaries.get(message.dictionary, 0) if message.is_delta else 0
            self._dictionaries[message.dictionary] = held + message.body
            if sum(self._dictionaries.values()) > MAX_DICTIONARY_BYTES:
                raise Unreadable(
                    f"dictionaries of more than {MAX_DICTIONARY_BYTES} bytes: send the columns as plain text"
                )
        return message.body


class _Message(NamedTuple):
    """What a message says of itself."""

    body: int
    """Bytes."""
    dictionary: int | None
    """Its number, when the message brings one."""
    is_delta: bool
    """Whether it goes on with the dictionary that is there."""


def _read_message(metadata: bytes) -> _Message:
    """Raises `Unreadable` when the message's body is compressed or too large, or it is no message."""
    dictionary, is_delta = None, False
    try:
        message = struct.unpack_from("<I", metadata, 0)[0]
        kind_at, header_at, length_at = (_field(metadata, message, number) for number in (1, 2, 3))
        kind = metadata[kind_at] if kind_at else 0
        length = struct.unpack_from("<q", metadata, length_at)[0] if length_at else 0
        if header_at:
            header = header_at + struct.unpack_from("<I", metadata, header_at)[0]
            if kind == _DICTIONARY_BATCH:  # holds a record batch
                number_at, delta_at = _field(metadata, header, 0), _field(metadata, header, 2)
                dictionary = struct.unpack_from("<q", metadata, number_at)[0] if number_at else 0
                is_delta = bool(delta_at and metadata[delta_at])
                data_at = _field(metadata, header, 1)
                header = data_at + struct.unpack_from("<I", metadata, data_at)[0]
            if kind in {_DICTIONARY_BATCH, _RECORD_BATCH} and _field(metadata, header, 3):
                raise Unreadable("the Arrow stream is compressed: write it without compression")
    except (struct.error, IndexError):
        raise Unreadable("a message of the Arrow stream is damaged") from None
    if not 0 <= length <= MAX_BATCH_BYTES:
        raise Unreadable(f"a record batch of {length} bytes: send batches of at most {MAX_BATCH_BYTES} bytes")
    return _Message(int(length), dictionary, is_delta)


_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


def _field(data: bytes, table: int, number: int) -> int:
    """Where the FlatBuffers table has this field; 0 when it has none."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0] if vtable >= 0 else 0
    entry = 4 + 2 * number
    if entry + 2 > size:
        return 0
    offset = struct.unpack_from("<H", data, vtable + entry)[0]
    return table + offset if offset else 0
