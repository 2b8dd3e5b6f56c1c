"""From what rooms' sensors read to what is answered about them; heavy, so not for an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from insula_tenants.analytics.comfort.assumptions import Assumption, assumptions
from insula_tenants.analytics.comfort.by_hour import Air, Climate, Thermal, air_quality, thermal
from insula_tenants.analytics.comfort.categories import NORMAL, Category
from insula_tenants.analytics.comfort.climates import (
    Occupied,
    climate_of,
    left_out,
    occupied_of,
    running_mean_of,
)
from insula_tenants.analytics.comfort.clock import LocalHours, Schedule, local_hours
from insula_tenants.analytics.comfort.rooms import Read, Room
from insula_tenants.analytics.comfort.summary import Summary, summarize


@dataclass(frozen=True, slots=True)
class Asked:
    """From when to when, and which hours count."""

    starting: datetime
    ending: datetime
    schedule: Schedule
    measured: bool
    """Whether a room's occupancy sensors are to say which hours count."""


@dataclass(frozen=True, slots=True)
class RoomComfort:
    """A room over its occupied hours."""

    room: Room
    category: Category
    measured: bool
    """Whether its sensors said which hours count."""
    summary: Summary
    assumed: Sequence[Assumption]


@dataclass(frozen=True, slots=True)
class HourlyComfort:
    """A room hour by hour, occupied or not."""

    room: Room
    category: Category
    hours: LocalHours
    occupied: NDArray[np.bool_]
    climate: Climate
    thermal: Thermal | None
    air: Air | None
    assumed: Sequence[Assumption]


def comfort_of(rooms: Sequence[Room], read: Read, asked: Asked) -> list[RoomComfort]:
    """The comfort of each room over its occupied hours, up to what has been read."""
    clocks = _Clocks(read, asked)
    return [_comfort_of(room, read, asked, clocks) for room in rooms]


def comfort_by_hour(room: Room, read: Read, asked: Asked) -> HourlyComfort:
    """The comfort of a room in each hour, up to what has been read."""
    clocks = _Clocks(read, asked)
    hours = clocks.hours(room.time_zone)
    climate = climate_of(room, read, hours, clocks.weather(room))
    occupied = occupied_of(room, read, hours, asked.schedule, measured=asked.measured)
    return HourlyComfort(
        room,
        room.stated or NORMAL,
        hours,
        occupied.mask,
        climate,
        thermal(climate, hours),
        air_quality(climate),
        _assumed(room, climate, hours, occupied, asked),
    )


class _Clocks:
    """Hours by time zone, and the weather there by sensor: many rooms have the same."""

    def __init__(self, read: Read, asked: Asked) -> None:
        self._read = read
        self._bounds = asked.starting, min(asked.ending, read.complete_until)
        self._hours: dict[str, LocalHours] = {}
        self._weather: dict[tuple[int, str], NDArray[np.float64] | None] = {}

    def hours(self, time_zone: str) -> LocalHours:
        """All hours of the question that are past."""
        if time_zone not in self._hours:
            self._hours[time_zone] = local_hours(time_zone, *self._bounds)
        return self._hours[time_zone]

    def weather(self, room: Room) -> NDArray[np.float64] | None:
        """The running mean outdoor temperature in these hours; None where no sensor tells it."""
        if room.outdoor is None:
            return None
        key = room.outdoor.id, room.time_zone
        if key not in self._weather:
            hours = self.hours(room.time_zone)
            series = self._read.outdoors[key]
            self._weather[key] = running_mean_of(series, room.outdoor, hours, room.time_zone)
        return self._weather[key]


def _comfort_of(room: Room, read: Read, asked: Asked, clocks: _Clocks) -> RoomComfort:
    hours = clocks.hours(room.time_zone)
    climate = climate_of(room, read, hours, clocks.weather(room))
    occupied = occupied_of(room, read, hours, asked.schedule, measured=asked.measured)
    category = room.stated or NORMAL
    return RoomComfort(
        room,
        category,
        occupied.measured,
        summarize(climate.where(occupied.mask), hours.where(occupied.mask), category),
        _assumed(room, climate, hours, occupied, asked),
    )


def _assumed(
    room: Room, climate: Climate, hours: LocalHours, occupied: Occupied, asked: Asked
) -> list[Assumption]:
    """Of the occupied hours."""
    counted = hours.where(occupied.mask)
    found = assumptions(climate.where(occupied.mask), counted, room.stated) + left_out(room, counted)
    if by_schedule := float(hours.lengths[occupied.by_schedule].sum()):
        schedule = asked.schedule
        value = f"{schedule.from_hour}-{schedule.until_hour}"
        detail = "no occupancy sensor told who was there: taken to be occupied at these hours of working days"
        found.append(Assumption("occupied_hours", value, "h", by_schedule, detail))
    return found
