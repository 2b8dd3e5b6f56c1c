"""The building model as one tree, and what a search finds in it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.building_model.schemas import Area, Capacity, ComfortCategory, Level, TimeZone

FoundKind = Literal["site", "building", "storey", "space", "zone", "equipment", "model-point", "point"]


class Counts(BaseModel):
    """What is in a part of the tree, in all that stands in it included."""

    model_config = ConfigDict(from_attributes=True)

    spaces: int
    devices: int = Field(description="Devices in use.")
    points: int = Field(description="Points of those devices.")
    equipment: int
    model_points: int = Field(description="Points of the model that tell about it.")


class _Node(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    brick_class: str
    counts: Counts


class SpaceNode(_Node):
    """A space."""

    area: Area
    capacity: Capacity
    comfort_category: ComfortCategory


class StoreyNode(_Node):
    """A storey and its spaces, by name."""

    level: Level
    spaces: list[SpaceNode]


class BuildingNode(_Node):
    """A building and its storeys, by level from the lowest."""

    time_zone: TimeZone
    area: Area
    storeys: list[StoreyNode]


class SiteNode(_Node):
    """A site and its buildings, by name."""

    buildings: list[BuildingNode]


class ZoneNode(BaseModel):
    """A zone, and the ids of its spaces."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    brick_class: str
    spaces: list[int]


class Tree(BaseModel):
    """The whole model, as far as your grant covers it."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "counts": {"spaces": 1, "devices": 2, "points": 5, "equipment": 1, "model_points": 1},
                "sites": [
                    {
                        "id": 1,
                        "name": "Brussels",
                        "brick_class": "Site",
                        "counts": {
                            "spaces": 1,
                            "devices": 2,
                            "points": 5,
                            "equipment": 1,
                            "model_points": 1,
                        },
                        "buildings": [],
                    }
                ],
                "zones": [{"id": 1, "name": "South façade", "brick_class": "HVAC_Zone", "spaces": [1]}],
            }
        },
    )

    counts: Counts = Field(
        description="Of everything that the grant covers, in the tree or standing nowhere."
    )
    sites: list[SiteNode]
    zones: list[ZoneNode]


class Found(BaseModel):
    """Something that a search found."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "kind": "space",
                "id": 1,
                "name": "Meeting room 1",
                "brick_class": "Conference_Room",
                "iri": None,
                "path": "Brussels/Forum/Ground floor",
            }
        },
    )

    kind: FoundKind = Field(description="`point` is a device's point, `model-point` one of the model.")
    id: int
    name: str = Field(description="A device's point is called `device/point`.")
    brick_class: str | None
    iri: str | None
    path: str | None = Field(description="In what it stands: `site/building/storey/space`; null for nothing.")
