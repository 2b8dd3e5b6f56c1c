"""Records from a CSV file, row by row: UTF-8, comma-separated, one record a line, a header first.

A row is either a record or skipped with its reason. Nothing but the present line is held in memory.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from insula_ingest.device import Record, Value, is_point_name

_LINE_LIMIT = 1 << 20
"""Bytes; a longer line is none of a CSV file."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_EXACT = 2**53
"""Whole numbers up to this are the same as a float."""


class ReplayError(Exception):
    """A file cannot be replayed as asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line after the header: a record, or the reason why it is none."""

    line: int
    position: int
    """Bytes of the file up to the end of this line."""
    record: Record | None = None
    reason: str = ""
    ambiguous: bool = False
    """Whether the record's local time occurred twice, and the first was taken."""


class _RowError(Exception):
    """A row is no record, for this reason."""


def read_rows(
    file: Path,
    *,
    time_column: str,
    time_zone: str | None,
    points: Sequence[str],
    rename: Mapping[str, str],
) -> Iterator[Row]:
    """The rows of `file`; blank lines are none. `replay` explains the arguments.

    `ReplayError` when the file has no such column, cannot be read, or needs a time zone.
    """
    zone = _zone(time_zone)
    names = _names(points, rename)
    with _opened(file) as stream:
        lines = _lines(stream)
        header_line = next(lines, None)
        if header_line is None:
            msg = f"{file} is empty: its first line must name the columns"
            raise ReplayError(msg)
        try:
            header = [cell.strip() for cell in _cells(header_line[2].removeprefix(b"\xef\xbb\xbf"))]
        except _RowError as error:
            msg = f"line {header_line[0]}, which must name the columns: {error}"
            raise ReplayError(msg) from None
        for column in (time_column, *names):
            _check_column(column, header)
        layout: _Layout | None = None
        for number, position, raw in lines:
            try:
                cells = _cells(raw)
                layout = layout or _layout(header, cells, time_column, names)
                at, ambiguous = _time(layout.time(cells), time_column, zone)
                row = Row(number, position, (at, layout.values(cells)), ambiguous=ambiguous)
            except _RowError as error:
                row = Row(number, position, reason=str(error))
            yield row


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the cells of a row are."""

    width: int
    time_at: int
    points: Mapping[str, int]

    def time(self, cells: list[str]) -> str:
        if len(cells) != self.width:
            msg = f"it has {len(cells)} cells where {self.width} were expected"
            raise _RowError(msg)
        return cells[self.time_at].strip()

    def values(self, cells: list[str]) -> dict[str, Value]:
        values = {}
        for point, column in self.points.items():
            text = cells[column].strip()
            if text:  # an empty cell is a value that is not there
                values[point] = _value(point, text)
        if not values:
            msg = "it has no value for any of the points"
            raise _RowError(msg)
        return values


def _layout(header: list[str], cells: list[str], time_column: str, names: Mapping[str, str]) -> _Layout:
    """R writes row numbers without a name for their column: then the header is one short."""
    unnamed = len(cells) == len(header) + 1 and cells[0].strip().isdecimal()
    places = {name: n + unnamed for n, name in enumerate(header)}
    points = {point: places[column] for column, point in names.items()}
    return _Layout(len(header) + unnamed, places[time_column], points)


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise ReplayError(msg) from None


def _lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """The lines that are not blank: number, position of their end in bytes, text."""
    number = position = 0
    while raw := stream.readline(_LINE_LIMIT):
        number += 1
        position += len(raw)
        if len(raw) == _LINE_LIMIT:
            msg = f"line {number} is longer than {_LINE_LIMIT} bytes: is this a CSV file?"
            raise ReplayError(msg)
        if raw.strip():
            yield number, position, raw


def _cells(raw: bytes) -> list[str]:
    """The cells of one line: a quote left open costs this row, and not the rest of the file."""
    try:
        return next(csv.reader([raw.decode().rstrip("\r\n")], strict=True))
    except UnicodeDecodeError:
        msg = "it is not UTF-8"
        raise _RowError(msg) from None
    except csv.Error as error:
        msg = f"it is no CSV: {error}"
        raise _RowError(msg) from None


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        msg = f"{name!r} is no IANA time zone: give one like Europe/Brussels"
        raise ReplayError(msg) from None


def _names(points: Sequence[str], rename: Mapping[str, str]) -> dict[str, str]:
    """The point's name by column."""
    if not points:
        msg = "no points were named: say which columns to send"
        raise ReplayError(msg)
    if strangers := set(rename) - set(points):
        msg = f"cannot rename {', '.join(sorted(strangers))}: not among the points"
        raise ReplayError(msg)
    names = {column: rename.get(column, column) for column in points}
    for column, point in names.items():
        if not is_point_name(point):
            msg = f"{point!r} cannot name a point: rename column {column!r} to letters, digits or _ . : / -"
            raise ReplayError(msg)
    if len(names) < len(points) or len(set(names.values())) < len(names):
        msg = "two columns would be the same point: name each column once, and each point differently"
        raise ReplayError(msg)
    return names


def _check_column(column: str, header: list[str]) -> None:
    if (count := header.count(column)) != 1:
        what = "no column" if count == 0 else f"{count} columns"
        msg = f"the file has {what} {column!r}; its columns are: {', '.join(header)}"
        raise ReplayError(msg)


def _time(text: str, column: str, zone: tzinfo | None) -> tuple[datetime, bool]:
    """The aware UTC time, and whether it is the first of two that the clock showed alike."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        msg = f"its time {text!r} is not like 2026-03-02 14:19:00"
        raise _RowError(msg) from None
    try:
        if time.utcoffset() is not None:
            return time.astimezone(UTC), False
        if zone is None:
            msg = f"times in column {column!r} carry no offset: name their zone, like Europe/Brussels"
            raise ReplayError(msg)
        first = time.replace(tzinfo=zone, fold=0)
        utc = first.astimezone(UTC)
        if utc.astimezone(zone).replace(tzinfo=None) != time:
            msg = f"its time {text!r} did not exist in {zone}: the clocks had been put forward"
            raise _RowError(msg)
        return utc, first.utcoffset() != first.replace(fold=1).utcoffset()
    except OverflowError:
        msg = f"its time {text!r} is out of range"
        raise _RowError(msg) from None


def _value(point: str, text: str) -> Value:
    """The cell as a number, whole where it is whole, or as a truth value."""
    if (boolean := _BOOLEANS.get(text.lower())) is not None:
        return boolean
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number):
        msg = f"{point} has {text!r}, which is no number"
        raise _RowError(msg)
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number
