"""The events of a stream of live values, as their `data` shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from insula_platform.readings.schemas import LatestValue

EndReason = Literal["token_expired", "access_ended", "tenant_closed", "database_away", "shutdown"]


class Snapshot(BaseModel):
    """`event: snapshot`. The newest value of each point, in one event or several."""

    items: list[LatestValue]
    last: bool = Field(description="Whether the snapshot is whole with this event.")


class Values(BaseModel):
    """`event: values`. Values that were stored a moment ago; of any age, as devices send them."""

    items: list[LatestValue]


class Notice(BaseModel):
    """`event: gap` before a fresh snapshot, and `event: unavailable` when the broker is away."""

    detail: str = Field(description="What happened, and what comes next.")


class End(BaseModel):
    """`event: end`, the last one."""

    reason: EndReason
    detail: str = Field(description="What to do.")
