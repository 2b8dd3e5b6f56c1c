"""Which meters a question about one load is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_platform.analytics.energy.consumption_answers import Sum
from insula_tenants.analytics.energy.consumption import AllMetered
from insula_tenants.analytics.energy.hours import Hours
from insula_tenants.analytics.energy.places import Place, find_places, is_whole, topmost
from insula_tenants.analytics.measured import Where
from insula_tenants.energy.meters import MeterView, find_meters
from insula_tenants.energy.models import Carrier
from insula_tenants.errors import InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class Chosen:
    """Meters of one carrier, whose sum is what the question is about."""

    meters: Sequence[MeterView]
    carrier: Carrier
    name: str | None
    """Of the meter or the place; None for several buildings."""
    whole: bool
    """Whether they count all of it."""
    time_zone: str
    building: int | None
    """The first of theirs."""

    def loads(self, loaded: AllMetered, hours: Hours) -> NDArray[np.float64]:
        """Their load together by hour, NaN where one of them was not measured."""
        return Sum.of(loaded.meters).loads if loaded.meters else np.full(len(hours), np.nan)


async def choose(
    connection: AsyncConnection[DictRow], where: Where, carrier: Carrier, meter: int | None
) -> Chosen:
    """The meter, or the meters of the place that none of the others takes in.

    Raises `NotFound` for a meter that is none there, `InvalidInput` when the buildings go by several clocks.
    """
    found = await find_meters(connection, where)
    if meter is not None:
        one = next((one for one in found if one.id == meter), None)
        if one is None:
            raise NotFound(f"there is no meter {meter}")
        return Chosen([one], one.carrier, one.name, True, one.time_zone or "UTC", one.building)
    # What stands in no building is part of none: it is asked for by its meter.
    of_carrier = [one for one in found if one.carrier == carrier and one.building is not None]
    zones = sorted({one.time_zone or "UTC" for one in of_carrier})
    if len(zones) > 1:
        raise InvalidInput("building", f"name a building: these go by several clocks ({', '.join(zones)})")
    targets = _targets(await find_places(connection, of_carrier, where), where)
    return Chosen(
        topmost(of_carrier),
        carrier,
        targets[0].name if len(targets) == 1 else None,
        bool(targets)
        and all(
            is_whole(place, [one for one in of_carrier if getattr(one, place.kind) == place.id])
            for place in targets
        ),
        next(iter(zones), "UTC"),
        next((one.building for one in of_carrier), None),
    )


def _targets(places: Sequence[Place], where: Where) -> list[Place]:
    """The places that the question is about, of those that it takes in."""
    kind = "space" if where.space else "storey" if where.storey else "building"
    return [place for place in places if place.kind == kind]
