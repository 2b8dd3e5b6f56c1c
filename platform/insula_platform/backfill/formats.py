"""Rows from the text formats: CSV, lines of JSON, and one JSON array. `arrow` has the binary one.

Each gives `(row, point, device, name, time, value)` as they were written, and `Malformed` for a row that is
none. Where the rows that follow cannot be told apart any more, `Unreadable` ends it.
"""

from __future__ import annotations

import csv
import json
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

from insula_platform.backfill.errors import Unreadable

COLUMNS = ("point", "device", "name", "time", "value")
MAX_ROW = 64 * 1024
"""Characters of one row."""

RawRow = tuple[int, Any, Any, Any, Any, Any]
"""`(row, point, device, name, time, value)`. Text: the line, from 1; else the position, from 1."""


class Malformed(NamedTuple):
    """A row that is none."""

    row: int
    detail: str


Rows = Iterator[RawRow | Malformed]


def read_csv(chunks: Iterable[bytes]) -> Rows:
    """Rows of a CSV (RFC 4180) with a header of `COLUMNS`; others are passed over."""
    lines = _RowLines(_lines(chunks))
    reader = csv.reader(lines, strict=True)
    header = lines.next_row(reader)
    if header is None:
        raise Unreadable("line 1: the file is empty; begin with a header: device,name,time,value")
    names = [name.strip().lower() for name in header]
    check_columns(names)
    places = [names.index(column) if column in names else None for column in COLUMNS]
    while (cells := lines.next_row(reader)) is not None:
        if not cells:
            continue
        if len(cells) != len(names):
            yield Malformed(reader.line_num, f"{len(cells)} cells, and {len(names)} in the header")
            continue
        point, device, name, time, value = (
            None if place is None else cells[place] or None for place in places
        )
        yield reader.line_num, point, device, name, _csv_number(time), _csv_number(value)


def read_json_lines(chunks: Iterable[bytes]) -> Rows:
    """Rows of JSON objects, one a line."""
    for row, line in enumerate(_lines(chunks), 1):
        if not line.strip():
            continue
        try:
            yield _from_object(row, json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Malformed(row, f"not JSON: {error}")


def read_json_array(chunks: Iterable[bytes]) -> Rows:
    """Rows of one JSON array of objects, which is never in memory as a whole."""
    text = _Text(chunks)
    decode = json.JSONDecoder().raw_decode
    if text.skip_space() != "[":
        raise Unreadable('row 1: send an array, [{"device": …, "name": …, "time": …, "value": …}, …]')
    text.advance(1)
    row = 0
    if text.skip_space() == "]":
        return
    while True:
        row += 1
        yield _from_object(row, text.decode(decode, row))
        separator = text.skip_space()
        text.advance(1)
        if separator == "]":
            return
        if separator != ",":
            raise Unreadable(f"row {row}: a comma or the array's end is missing after it")
        text.skip_space()


def check_columns(names: Iterable[str]) -> None:
    """Raise `Unreadable` when the columns cannot name a point, a time and a value."""
    there = set(names)
    missing = {"time", "value"} - there
    if "point" not in there and not {"device", "name"} <= there:
        missing |= {"device", "name"} - there
    if missing:
        raise Unreadable(
            f"line 1: no column {', '.join(sorted(missing))}; the columns are device and name, or point, "
            "and time and value"
        )


def _from_object(row: int, given: Any) -> RawRow | Malformed:
    if not isinstance(given, dict):
        return Malformed(row, 'no object: send {"device": …, "name": …, "time": …, "value": …}')
    find: Callable[[str], Any] = given.get
    return row, find("point"), find("device"), find("name"), find("time"), find("value")


def _csv_number(cell: str | None) -> Any:
    """What JSON would have had: a number or a boolean where the cell is one, else the text."""
    if cell is None:
        return None
    try:
        # `1_000` is a number for Python alone.
        return cell if "_" in cell else float(cell)
    except ValueError:
        return {"true": True, "false": False}.get(cell.lower(), cell)


class _RowLines:
    """Lines for a CSV reader. A row with line breaks in its cells takes several, and not without end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._left = MAX_ROW

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._left -= len(line) + 1  # and its end
        if self._left < 0:
            raise csv.Error(f"a row longer than {MAX_ROW} characters")
        return line

    def next_row(self, reader: Any) -> list[str] | None:
        """The next row's cells, None at the end."""
        self._left = MAX_ROW
        try:
            return next(reader, None)
        except csv.Error as error:
            raise Unreadable(f"line {reader.line_num}: {error}") from None


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends; raises `Unreadable` for one that is too long, and for what is no UTF-8."""
    rest, number = "", 0
    for text in _decoded(chunks):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            number += 1
            _check_length(line, f"line {number}")
            yield line.removesuffix("\r")
        _check_length(rest, f"line {number + 1}")
    if rest:
        yield rest.removesuffix("\r")


def _decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Unreadable(f"the body is not UTF-8: {error.reason}") from None


def _check_length(line: str, where: str) -> None:
    if len(line) > MAX_ROW:
        raise Unreadable(f"{where}: longer than {MAX_ROW} characters")


class _Text:
    """Text that arrives in parts, and the place that reading has come to."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._parts = _decoded(chunks)
        self._text = ""
        self._at = 0

    def skip_space(self) -> str:
        """The next character that is no space; raises `Unreadable` at the end."""
        while True:
            while self._at < len(self._text):
                if (character := self._text[self._at]) not in " \t\r\n":
                    return character
                self._at += 1
            if not self._more():
                raise Unreadable("the array does not end: its last rows may be missing")

    def advance(self, characters: int) -> None:
        """Go on by so many."""
        self._at += characters

    def decode(self, decode: Callable[[str, int], tuple[Any, int]], row: int) -> Any:
        """The JSON value that begins here; more text is taken until it is whole."""
        while True:
            try:
                value, end = decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at > MAX_ROW or not self._more():
                    told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise Unreadable(f"row {row}: not JSON: {told}") from None
            else:
                self._at = end
                return value

    def _more(self) -> bool:
        for part in self._parts:
            if part:
                self._text, self._at = self._text[self._at :] + part, 0
                return True
        return False
