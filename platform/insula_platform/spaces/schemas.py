"""Spaces as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Space(BaseModel):
    """A space, with the names of what it stands in."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": 1,
                "name": "Meeting room 1",
                "storey": "Ground floor",
                "building": "Forum",
                "site": "Brussels",
                "time_zone": "Europe/Brussels",
            }
        },
    )

    id: int
    name: str
    storey: str
    building: str
    site: str
    time_zone: str = Field(description="IANA time zone of the building; local days are derived from it.")
