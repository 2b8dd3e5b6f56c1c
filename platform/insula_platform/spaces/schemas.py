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
                "storey_id": 1,
                "building_id": 1,
                "site_id": 1,
                "brick_class": "Conference_Room",
                "area": 32.5,
                "capacity": 8,
                "comfort_category": "II",
                "iri": None,
            }
        },
    )

    id: int
    name: str
    storey: str
    building: str
    site: str
    time_zone: str = Field(description="IANA time zone of the building; local days are derived from it.")
    storey_id: int
    building_id: int
    site_id: int
    brick_class: str = Field(description="Class of the Brick ontology, such as `Conference_Room`.")
    area: float | None = Field(description="Net floor area, m²; null when nobody said.")
    capacity: int | None = Field(description="People that it is meant for; null when nobody said.")
    comfort_category: str | None = Field(
        description="`I` to `IV` of EN 16798-1; null when nobody said, which counts as `II`."
    )
    iri: str | None = Field(description="Its name in Brick graphs; null: one made of its id.")
