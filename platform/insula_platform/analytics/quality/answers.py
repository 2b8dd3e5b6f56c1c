"""What was found of points, as the API shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insula_platform.analytics.completeness import Completeness
from insula_platform.analytics.quality import schemas
from insula_tenants.analytics.completeness import together
from insula_tenants.analytics.quality.assessment import PointQuality
from insula_tenants.analytics.quality.places import PlaceQuality
from insula_tenants.analytics.quality.service import Qualities
from insula_tenants.telemetry.buckets import instant


def shown(
    found: Qualities, page: Sequence[PointQuality], places: Sequence[PlaceQuality], next_cursor: str | None
) -> schemas.DataQuality:
    """A page of points, and all of them together."""
    return schemas.DataQuality(
        items=[shown_point(one) for one in page],
        next_cursor=next_cursor,
        points=len(found.points),
        with_problems=sum(1 for one in found.points if one.problems),
        completeness=Completeness.model_validate(together(one.completeness for one in found.points)),
        complete_until=found.complete_until,
        days=shown_days(found),
        places=[schemas.PlaceQuality.model_validate(one) for one in places],
    )


def shown_days(found: Qualities) -> list[schemas.Day]:
    """Each day, of all the points."""
    days = found.days
    expected, present = np.zeros(len(days)), np.zeros(len(days))
    for one in found.points:
        expected += one.expected
        present += one.present
    return [
        schemas.Day(
            day=instant(int(day)).date(),
            expected=round(float(due)),
            present=round(float(there)),
            share=round(float(there / due), 4) if due > 0 else None,
        )
        for day, due, there in zip(days, expected, present, strict=True)
    ]


def shown_point(one: PointQuality) -> schemas.PointQuality:
    """One point."""
    measured, cadence = one.measured, one.cadence
    shares = np.round(one.present / np.where(one.expected > 0, one.expected, np.nan), 4).tolist()
    return schemas.PointQuality.model_validate(
        {
            "point": measured.id,
            "device": measured.device,
            "name": measured.name,
            "brick_class": measured.brick_class,
            "unit": measured.unit,
            "space": measured.space,
            "storey": measured.storey,
            "building": measured.building,
            "interval": cadence.interval,
            "interval_source": cadence.source,
            "readings": one.readings,
            "completeness": one.completeness,
            "days": [share if share == share else None for share in shares],  # noqa: PLR0124 - not NaN
            "gaps": one.gaps,
            "stuck": one.stuck,
            "out_of_range": one.out_of_range,
            "clock_offset": one.device.clock_offset,
            "clock_offset_at": one.device.clock_offset_at,
            "problems": one.problems,
            "score": round(one.score, 6),
            "resolution": one.resolution,
        }
    )
