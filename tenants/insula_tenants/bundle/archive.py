"""Open a bundle that somebody hands in, and believe nothing of it before it is proven.

Before anything is written: the zip's structure, the manifest, and each member's length, SHA-256 and rows.
Members are stored uncompressed and do not overlap, so the file's own size bounds what it can unfold to.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from insula_tenants.bundle.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    BundleRefused,
    Entry,
    Manifest,
    is_month,
    month_of,
    read_manifest,
)
from insula_tenants.bundle.readings import BATCH_ROWS, SCHEMA
from insula_tenants.bundle.rows import MAX_LINE_BYTES, parse_line

_PIECE = 1024 * 1024
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MAX_GROUP_ROWS = 2 * BATCH_ROWS
_MAX_GROUP_BYTES = 64 * 1024 * 1024


class _Slice(io.RawIOBase):
    """Bytes of an open file, seekable, without a position shared with others."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._descriptor, self._start, self._length, self._position = file.fileno(), start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._length - self._position))
        data = os.pread(self._descriptor, wanted, self._start + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Region(NamedTuple):
    """Where a member lies in the zip."""

    file: IO[bytes]
    start: int
    length: int

    def open(self) -> _Slice:
        return _Slice(self.file, self.start, self.length)


class Bundle:
    """A bundle that was verified."""

    def __init__(self, manifest: Manifest, members: dict[str, _Region]) -> None:
        """See `open_bundle`."""
        self.manifest = manifest
        self._members = members

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member, each with a row; none where an older bundle has no such member."""
        return _lines(self._members[name], name) if name in self._members else iter(())

    def rows(self, name: str) -> Iterator[dict[str, object]]:
        """The objects in the lines of a member."""
        for line in self.lines(name):
            yield parse_line(line, name)

    def batches(self, entry: Entry) -> Iterator[pa.RecordBatch]:
        """The readings of a month. `BundleRefused` where they are not of that month, or cannot be read."""
        month = month_of(entry.name)
        first = _microseconds(month)
        following = _microseconds((month + timedelta(days=31)).replace(day=1))
        try:
            with _parquet(self._members[entry.name]) as parquet:
                for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
                    if any(column.null_count for column in batch.columns):
                        raise BundleRefused(f"{entry.name} has a reading without point, time or value")
                    # As numbers: a hostile one need not be a time that Python knows.
                    bounds = pc.min_max(batch.column("time").cast(pa.int64())).as_py()
                    if batch.num_rows and not first <= bounds["min"] <= bounds["max"] < following:
                        raise BundleRefused(f"{entry.name} has readings of another month")
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise BundleRefused(f"{entry.name} cannot be read: {str(error).splitlines()[0]}") from None


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """The verified bundle at `path`; `BundleRefused` says what is wrong with any other."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BundleRefused(f"{path} cannot be opened: {error.strerror}") from None
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
            raise BundleRefused("it is no zip, or a damaged one: copy it again") from None
        members = _members(file, infos)
        manifest = _manifest(members)
        _compare(manifest, members)
        for entry in manifest.members:
            _verify(members[entry.name], entry)
        yield Bundle(manifest, members)


def _members(file: IO[bytes], infos: list[zipfile.ZipInfo]) -> dict[str, _Region]:
    """Where each member lies. The names are compared with known ones: none is ever used as a path."""
    members: dict[str, _Region] = {}
    end_of_file = os.fstat(file.fileno()).st_size
    free_from = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.filename in members:
            raise BundleRefused(f"it has {info.filename!r} twice")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BundleRefused(
                f"{info.filename!r} is compressed: members of a bundle are stored as they are"
            )
        if info.flag_bits & 0x1:
            raise BundleRefused(f"{info.filename!r} is encrypted: members of a bundle are not")
        header = os.pread(file.fileno(), _LOCAL_HEADER.size, info.header_offset)
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise BundleRefused(f"{info.filename!r} has no header where the zip says: copy it again")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if info.header_offset < free_from or start + info.file_size > end_of_file:
            raise BundleRefused(f"{info.filename!r} lies over another member, or beyond the file's end")
        free_from = start + info.file_size
        members[info.filename] = _Region(file, start, info.file_size)
    return members


def _manifest(members: dict[str, _Region]) -> Manifest:
    if MANIFEST not in members:
        raise BundleRefused(f"it has no {MANIFEST}")
    member = members[MANIFEST]
    if member.length > MAX_MANIFEST_BYTES:
        raise BundleRefused(f"{MANIFEST} is longer than {MAX_MANIFEST_BYTES} bytes")
    return read_manifest(member.open().readall() or b"")


def _compare(manifest: Manifest, members: dict[str, _Region]) -> None:
    named = {entry.name for entry in manifest.members}
    if missing := named - members.keys():
        raise BundleRefused(f"{', '.join(sorted(missing))} is missing: copy it again")
    if further := members.keys() - named - {MANIFEST}:
        raise BundleRefused(f"it has {min(further)!r}, which its manifest does not name")


def _verify(member: _Region, entry: Entry) -> None:
    digest = hashlib.sha256()
    source = member.open()
    while piece := source.read(_PIECE):
        digest.update(piece)
    if member.length != entry.bytes or digest.hexdigest() != entry.sha256:
        raise BundleRefused(f"{entry.name} is not what the manifest says (SHA-256 differs): copy it again")
    if (_parquet_rows if is_month(entry.name) else _line_rows)(member, entry.name) != entry.rows:
        raise BundleRefused(f"{entry.name} has not the {entry.rows} rows that the manifest says")


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _line_rows(member: _Region, name: str) -> int:
    return sum(1 for _ in _lines(member, name))


def _lines(member: _Region, name: str) -> Iterator[bytes]:
    with io.BufferedReader(member.open(), _PIECE) as source:
        while line := source.readline(MAX_LINE_BYTES):
            if not line.endswith(b"\n"):
                raise BundleRefused(
                    f"{name} has a line without an end, or longer than {MAX_LINE_BYTES} bytes"
                )
            yield line


def _parquet_rows(member: _Region, name: str) -> int:
    try:
        with _parquet(member) as parquet:
            if not parquet.schema_arrow.equals(SCHEMA):
                raise BundleRefused(f"{name} has other columns than {', '.join(SCHEMA.names)} of a bundle")
            metadata = parquet.metadata
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                if group.num_rows > _MAX_GROUP_ROWS or group.total_byte_size > _MAX_GROUP_BYTES:
                    raise BundleRefused(f"{name} has a row group larger than an export writes")
            return int(metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise BundleRefused(f"{name} cannot be read: {str(error).splitlines()[0]}") from None


@contextmanager
def _parquet(member: _Region) -> Iterator[pq.ParquetFile]:
    with pa.PythonFile(member.open(), mode="r") as source:
        yield pq.ParquetFile(source, pre_buffer=False)
