"""From a file to rows: CSV with a header, or a JSON array of objects. What a row says is not judged here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from insula_tenants.errors import InvalidInput

COLUMNS = ("device", "name", "type", "space", "gateway", "serial", "expected_interval", "labels")
"""What a row may say; `device` and `name` it must."""
REQUIRED = ("device", "name")
MOST_ROWS = 20_000
MOST_BYTES = 8 * 1024 * 1024


class GivenRow(NamedTuple):
    """A row as it was given."""

    line: int
    """In CSV the line that the row begins on, the header's being 1; in JSON the number of the object."""
    fields: dict[str, Any]


def read_csv(content: bytes) -> list[GivenRow]:
    """The rows of a CSV file in UTF-8, with commas or semicolons. `InvalidInput` when it is none."""
    try:
        written = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("body", f"byte {error.start} is no UTF-8: save the file as CSV UTF-8") from None
    if "\x00" in written:
        raise InvalidInput("body", "there is a NUL character: send a CSV file")
    header = written.split("\n", 1)[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(written, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_columns(names)
        rows, line = [], reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise InvalidInput("body", f"line {line} has {len(cells)} cells, the header {len(names)}")
                rows.append(GivenRow(line, _said(zip(names, cells, strict=True))))
                _check_count(len(rows))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput("body", f"line {reader.line_num}: {error}") from None
    return _not_empty(rows)


def read_json(content: bytes) -> list[GivenRow]:
    """The rows of a JSON array of objects. `InvalidInput` when it is none."""
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", f"this is no JSON: {error}") from None
    if not isinstance(given, list):
        raise InvalidInput("body", "send an array of objects, one for each device")
    _check_count(len(given))
    rows = []
    for number, one in enumerate(given, 1):
        if not isinstance(one, dict):
            raise InvalidInput("body", f"item {number} is no object")
        _check_columns(list(one), f"item {number}: ")
        rows.append(GivenRow(number, _said(one.items())))
    return _not_empty(rows)


def _said(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What is not blank."""
    stripped = ((name, value.strip() if isinstance(value, str) else value) for name, value in pairs)
    return {name: value for name, value in stripped if value is not None and value != ""}


def _check_columns(names: list[str], where: str = "the header: ") -> None:
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InvalidInput("body", f"{where}{unknown[0][:60]!r} is unknown: use {', '.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise InvalidInput("body", f"{where}a column is named twice")
    if missing := [name for name in REQUIRED if name not in names]:
        raise InvalidInput("body", f"{where}{missing[0]!r} is missing, which each device needs")


def _check_count(count: int) -> None:
    if count > MOST_ROWS:
        raise InvalidInput("body", f"there are more than {MOST_ROWS} rows: send several files")


def _not_empty(rows: list[GivenRow]) -> list[GivenRow]:
    if not rows:
        raise InvalidInput("body", "there is no row: send a header and a line for each device")
    return rows
