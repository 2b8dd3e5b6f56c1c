"""Sites, buildings, storeys, spaces, zones, equipment and points as the API shows them and takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[int, Field(ge=1, lt=2**31)]
Name = Annotated[
    str, Field(min_length=1, max_length=200, description="What people call it.", examples=["Forum"])
]
BrickClass = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="Class of the Brick ontology, by its local name. One that it does not have is refused "
        "with the nearest.",
    ),
]
Iri = Annotated[
    str | None,
    Field(
        max_length=1000,
        description="Its name in Brick graphs, an absolute IRI; null: one is made of its id.",
        examples=["https://example.com/forum#lobby"],
    ),
]
Area = Annotated[float | None, Field(description="m²; null when nobody said.")]
Level = Annotated[int, Field(description="Orders the storeys; 0 is the ground floor.")]
Capacity = Annotated[int | None, Field(description="People that it is meant for; null when nobody said.")]
ComfortCategory = Annotated[
    Literal["I", "II", "III", "IV"] | None,
    Field(description="Of EN 16798-1; null when nobody said, which counts as `II`."),
]
TimeZone = Annotated[str, Field(max_length=60, description="IANA time zone; local days are derived from it.")]
Degrees = Annotated[float | None, Field(description="WGS 84; null when nobody said.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    iri: Iri


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": values})


class NewSite(_Asked):
    """A site to make."""

    model_config = _example(name="Brussels", latitude=50.85, longitude=4.35)

    name: Name
    iri: Iri = None
    latitude: Degrees = None
    longitude: Degrees = None


class SiteChanges(NewSite):
    """What is to be changed of a site; what is left out stays, null takes away."""

    model_config = _example(latitude=50.85, longitude=4.35)

    name: Name = ""


class Site(_Shown):
    """A place with one or more buildings."""

    model_config = _example(id=1, name="Brussels", iri=None, latitude=50.85, longitude=4.35)

    latitude: Degrees
    longitude: Degrees


class NewBuilding(_Asked):
    """A building to make."""

    model_config = _example(site_id=1, name="Forum", time_zone="Europe/Brussels", area=4200)

    site_id: Id
    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Building"
    time_zone: TimeZone
    area: Area = None


class BuildingChanges(NewBuilding):
    """What is to be changed of a building; what is left out stays, null takes away."""

    model_config = _example(area=4350)

    site_id: Id = 0
    name: Name = ""
    time_zone: TimeZone = ""


class Building(_Shown):
    """A building of a site."""

    model_config = _example(
        id=1,
        name="Forum",
        iri=None,
        brick_class="Building",
        site_id=1,
        site="Brussels",
        time_zone="Europe/Brussels",
        area=4200,
    )

    brick_class: str
    site_id: int
    site: str = Field(description="The site's name.")
    time_zone: TimeZone
    area: Area = Field(description="Gross floor area, m²; null when nobody said.")


class NewStorey(_Asked):
    """A storey to make."""

    model_config = _example(building_id=1, name="Ground floor", level=0)

    building_id: Id
    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Storey"
    level: Level = 0


class StoreyChanges(NewStorey):
    """What is to be changed of a storey; what is left out stays, null takes away."""

    model_config = _example(level=1)

    building_id: Id = 0
    name: Name = ""


class Storey(_Shown):
    """A floor of a building."""

    model_config = _example(
        id=1, name="Ground floor", iri=None, brick_class="Storey", building_id=1, building="Forum", level=0
    )

    brick_class: str
    building_id: int
    building: str = Field(description="The building's name.")
    level: Level


class NewSpace(_Asked):
    """A space to make."""

    model_config = _example(
        storey_id=1, name="Meeting room 1", brick_class="Conference_Room", area=32.5, capacity=8
    )

    storey_id: Id
    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Room"
    area: Area = None
    capacity: Capacity = None
    comfort_category: ComfortCategory = None


class SpaceChanges(NewSpace):
    """What is to be changed of a space; what is left out stays, null takes away."""

    model_config = _example(storey_id=2, capacity=10)

    storey_id: Id = 0
    name: Name = ""


class Reference(BaseModel):
    """A thing of the model."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")

    kind: Literal["building", "storey", "space", "zone", "equipment"]
    id: Id


class NewZone(_Asked):
    """A zone to make."""

    model_config = _example(name="South façade", brick_class="HVAC_Zone", spaces=[1, 2])

    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Zone"
    spaces: list[Id] = Field(default=[], max_length=10_000, description="Ids of its spaces.")


class ZoneChanges(NewZone):
    """What is to be changed of a zone; what is left out stays. `spaces` are all that it is to have."""

    model_config = _example(spaces=[1, 2, 3])

    name: Name = ""


class Zone(_Shown):
    """Spaces that are treated alike; they may be on several storeys."""

    model_config = _example(id=1, name="South façade", iri=None, brick_class="HVAC_Zone", spaces=[1, 2])

    brick_class: str
    spaces: list[int] = Field(description="Ids of its spaces, as far as your grant covers them.")


Location = Annotated[
    Reference | None,
    Field(description="The building, storey, space or zone in which it stands; null when nobody said."),
]
Feeds = Annotated[
    list[Reference], Field(max_length=10_000, description="The equipment, zones and spaces that it serves.")
]
PartOf = Annotated[int | None, Field(ge=1, lt=2**31, description="The equipment that it belongs to.")]


class NewEquipment(_Asked):
    """An equipment to make."""

    model_config = _example(
        name="AHU 1",
        brick_class="AHU",
        location={"kind": "storey", "id": 3},
        feeds=[{"kind": "zone", "id": 1}],
    )

    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Equipment"
    location: Location = None
    part_of_id: PartOf = None
    feeds: Feeds = []


class EquipmentChanges(NewEquipment):
    """What is to be changed of an equipment; what is left out stays. `feeds` is all that it is to serve."""

    model_config = _example(location={"kind": "space", "id": 1})

    name: Name = ""


class Equipment(_Shown):
    """What stands in a building and does something. What publishes values is a device."""

    model_config = _example(
        id=1,
        name="AHU 1",
        iri=None,
        brick_class="AHU",
        location={"kind": "storey", "id": 3},
        part_of_id=None,
        feeds=[{"kind": "zone", "id": 1}],
    )

    brick_class: str
    location: Location
    part_of_id: PartOf
    feeds: Feeds


Unit = Annotated[
    str | None,
    Field(
        max_length=60,
        description="As pint names it (`degC`, `kWh`), or UCUM; null when nobody said or there is none.",
    ),
]
Of = Annotated[
    Reference | None,
    Field(description="The building, storey, space, zone or equipment that it tells about."),
]
PointId = Annotated[
    int | None,
    Field(
        ge=1,
        lt=2**31,
        description="The device's point (see `…/points`) that brings its values, for no other point of the "
        "model; null while none does.",
    ),
]


class NewModelPoint(_Asked):
    """A point of the model to make."""

    model_config = _example(
        name="Supply air",
        brick_class="Supply_Air_Temperature_Sensor",
        unit="degC",
        of={"kind": "equipment", "id": 1},
        point_id=7,
    )

    name: Name
    iri: Iri = None
    brick_class: BrickClass = "Point"
    unit: Unit = None
    of: Of = None
    point_id: PointId = None


class ModelPointChanges(NewModelPoint):
    """What is to be changed of a point of the model; what is left out stays, null takes away."""

    model_config = _example(point_id=8)

    name: Name = ""


class ModelPoint(_Shown):
    """What is measured or commanded, as the building model names it."""

    model_config = _example(
        id=1,
        name="Supply air",
        iri=None,
        brick_class="Supply_Air_Temperature_Sensor",
        unit="degC",
        of={"kind": "equipment", "id": 1},
        point_id=7,
        device="ahu-1",
        point="supply_temperature",
    )

    brick_class: str
    unit: Unit
    of: Of
    point_id: PointId = Field(
        description="The device's point that brings its values; null while none does, and where your grant "
        "does not cover the device."
    )
    device: str | None = Field(description="The device of that point.")
    point: str | None = Field(description="The name of that point.")
