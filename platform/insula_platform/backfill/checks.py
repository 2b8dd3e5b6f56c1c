"""From what a row says to a reading, or to the reason why it is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from insula_platform.backfill.formats import RawRow
from insula_tenants.devices.resolution import PointName
from insula_tenants.names import is_point_name
from insula_tenants.telemetry.reasons import EARLIEST, LARGEST, Reason

_QUOTED = 60


class RowProblem(NamedTuple):
    """Why a row is not stored."""

    row: int
    field: str
    reason: Reason
    detail: str


class Checked(NamedTuple):
    """A row that is a reading, once its point is found."""

    row: int
    key: PointName | int
    """Device and name, or the point's id."""
    time: int
    """Microseconds since the epoch."""
    value: float


@dataclass(frozen=True, slots=True)
class Window:
    """Which times are taken, in microseconds since the epoch."""

    retained_from: int
    """Older readings would be dropped again."""
    latest: int


def check_row(raw: RawRow, window: Window) -> Checked | RowProblem:
    """The reading of a row, or what is wrong with it: the first thing that is."""
    row, point, device, name, given_time, given_value = raw
    key = _key(row, point, device, name)
    if isinstance(key, RowProblem):
        return key
    time = _microseconds(given_time)
    if time is None:
        return RowProblem(
            row,
            "time",
            Reason.BAD_TIME,
            f"{_shown(given_time)} is no time; send RFC 3339 with an offset, or milliseconds since the epoch",
        )
    if reason := _why_not(time, window):
        return RowProblem(row, "time", reason, _TIMES[reason].format(_shown(given_time)))
    value = _number(given_value)
    if value is None or abs(value) > LARGEST:
        return RowProblem(
            row,
            "value",
            Reason.BAD_VALUE,
            f"{_shown(given_value)} is neither a finite number nor true or false",
        )
    return Checked(row, key, time, value)


def _key(row: int, point: Any, device: Any, name: Any) -> PointName | int | RowProblem:
    if device is None and name is None:
        number = _whole(point)
        if number is None:
            return RowProblem(
                row, "point", Reason.BAD_NAME, f"{_shown(point)} is no point's id; send device and name"
            )
        return number
    if not isinstance(device, str):
        return RowProblem(row, "device", Reason.BAD_NAME, f"{_shown(device)} is no device's id")
    if not isinstance(name, str) or not is_point_name(name):
        return RowProblem(
            row,
            "name",
            Reason.BAD_NAME,
            f"{_shown(name)}: a name has 1 to 128 letters, digits and _ . : / -",
        )
    return device, name


def _whole(point: Any) -> int | None:
    if isinstance(point, str) and point.isascii() and point.isdigit() and len(point) < 11:
        point = int(point)
    if isinstance(point, bool) or not isinstance(point, int) or not 0 < point < 2**31:
        return None
    return point


def _microseconds(given: Any) -> int | None:
    if isinstance(given, str):
        try:
            parsed = datetime.fromisoformat(given)
        except ValueError:
            return None
        if parsed.tzinfo is None:
            return None
        try:
            return round(parsed.timestamp() * 1e6)
        except OverflowError:
            return None
    if isinstance(given, bool) or (milliseconds := _number(given)) is None:
        return None
    return round(milliseconds * 1000)


def _number(given: Any) -> float | None:
    if not isinstance(given, (int, float)):
        return None
    try:
        value = float(given)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def _why_not(time: int, window: Window) -> Reason | None:
    if time < EARLIEST or time > window.latest:
        return Reason.IMPLAUSIBLE_TIME
    return Reason.BEYOND_RETENTION if time < window.retained_from else None


_TIMES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.IMPLAUSIBLE_TIME: "{} is before 2000 or more than a day ahead",
        Reason.BEYOND_RETENTION: "{} is older than readings of this tenant are kept",
    }
)


def _shown(given: Any) -> str:
    text = ascii(given)
    return text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
