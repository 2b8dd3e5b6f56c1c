"""Which sensor tells the weather at a building."""

from __future__ import annotations

from collections.abc import Iterable

from insula_tenants.analytics.measured import MeasuredPoint
from insula_tenants.analytics.quantities import Quantity


def find_outdoor(points: Iterable[MeasuredPoint], building_id: int | None) -> MeasuredPoint | None:
    """The outdoor temperature of a building: of the building itself, else of its site, else the tenant's.

    The tenant's own is one that stands in no building, such as a weather station: what another site
    measures may be another climate. Of several equally near the one with the lowest id. The building's site
    is known where any of the points stands in the building. None where there is no such sensor.
    """
    known = list(points)
    site = next((point.site for point in known if point.building == building_id is not None), None)
    found = [
        (distance, point.id, point)
        for point in known
        if point.quantity is Quantity.OUTDOOR_TEMPERATURE
        and (distance := _distance(point, building_id, site)) is not None
    ]
    return min(found, key=lambda one: one[:2])[2] if found else None


def _distance(point: MeasuredPoint, building: int | None, site: int | None) -> int | None:
    """0 in the building, 1 on its site, 2 nowhere in particular; None elsewhere."""
    if point.building is None:
        return 2
    if point.building == building:
        return 0
    return 1 if site is not None and point.site == site else None
