"""The same sensors in the past: what they would have published, had they been there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from insula_ingest.sensors import air, door, light, meter, presence, temperature, weather
from insula_ingest.sensors.room import Room

READINGS: Mapping[str, Callable[[Room, datetime], Mapping[str, float]]] = {
    "temperature": temperature.reading,
    "light": light.reading,
    "presence": presence.reading,
    "door": door.reading,
    "air": air.reading,
    "weather": weather.reading,
    "meter": meter.reading,
    "climate-meter": partial(meter.reading, load="climate"),
}
"""What a sensor of each kind reads in a room at an aware time, by point name."""


def values_between(
    kind: str, room: Room, start: datetime, end: datetime, step: timedelta
) -> Iterator[tuple[datetime, Mapping[str, float]]]:
    """The records of a sensor from `start` to before `end` (aware), one each `step`, in order.

    A door adds one whenever it opens or closes. `KeyError` when `kind` is none of `READINGS`.
    """
    read = READINGS[kind]
    extra = iter(door.changes(room, start, end) if kind == "door" else ())
    change = next(extra, None)
    at = start
    while at < end:
        while change is not None and change <= at:
            if change < at:
                yield change, read(room, change)
            change = next(extra, None)
        yield at, read(room, at)
        at += step
    while change is not None:
        yield change, read(room, change)
        change = next(extra, None)
