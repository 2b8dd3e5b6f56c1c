"""What was judged of spaces, as the API shows it."""

from __future__ import annotations

from insula_platform.analytics.completeness import Completeness
from insula_platform.analytics.occupancy import schemas
from insula_tenants.analytics.completeness import together
from insula_tenants.analytics.occupancy.judgement import SpaceUse
from insula_tenants.analytics.occupancy.service import Uses
from insula_tenants.analytics.occupancy.use import all_weeks


def shown(uses: Uses, next_cursor: str | None) -> schemas.Occupancy:
    """A page of spaces, and what they come to together."""
    observed = sum(one.hours_observed for one in uses.spaces)
    in_use = sum(one.hours_in_use for one in uses.spaces)
    return schemas.Occupancy(
        items=[shown_space(one) for one in uses.spaces],
        next_cursor=next_cursor,
        bucket_seconds=uses.bucket_seconds,
        spaces=len(uses.spaces),
        observed=sum(1 for one in uses.spaces if one.hours_observed),
        never_used=[one.space.id for one in uses.spaces if one.never_used],
        share_in_use=in_use / observed if observed else None,
        heat_map=all_weeks(one.week for one in uses.spaces).shares(),
        completeness=Completeness.model_validate(together(one.completeness for one in uses.spaces)),
        complete_until=uses.complete_until,
    )


def shown_space(use: SpaceUse) -> schemas.SpaceUse:
    """One space."""
    space = use.space
    return schemas.SpaceUse.model_validate(
        {
            "space": space.id,
            "name": space.name,
            "brick_class": space.brick_class,
            "storey": space.storey,
            "building": space.building,
            "time_zone": space.time_zone,
            "capacity": space.capacity,
            "area": space.area,
            "source": use.source,
            "variant": use.variant,
            "confidence": schemas.Confidence(
                level=use.confidence.level, reasons=list(use.confidence.reasons)
            ),
            "comparison": use.comparison,
            "hours_observed": use.hours_observed,
            "hours_in_use": use.hours_in_use,
            "share_in_use": use.share_in_use,
            "never_used": use.never_used,
            "people": use.people,
            "heat_map": use.week.shares(),
            "days_used": use.days_used,
            "first_use": use.first_use,
            "last_use": use.last_use,
            "completeness": use.completeness,
        }
    )
