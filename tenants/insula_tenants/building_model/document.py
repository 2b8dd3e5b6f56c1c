"""A building model as plain data: what a Brick or Haystack file says, and what a tenant's tables hold.

Pure: it is read from a graph or from the tables, written to either, and compared. Whatever two documents
have in common goes by `key`, an IRI that stays the same when a model is exported and imported again.
Brick names are local names of the ontology's classes, such as `Conference_Room`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SiteNode:
    """A place with one or more buildings."""

    key: str
    name: str
    brick_class: str = "Site"
    latitude: float | None = None
    """Degrees north, WGS 84."""
    longitude: float | None = None
    """Degrees east, WGS 84."""


@dataclass(frozen=True, slots=True)
class BuildingNode:
    """A building of a site."""

    key: str
    name: str
    site: str
    """Key of its site."""
    brick_class: str = "Building"
    time_zone: str | None = None
    """IANA name; None where the file does not say."""
    area: float | None = None
    """Gross floor area, m²."""


@dataclass(frozen=True, slots=True)
class StoreyNode:
    """A floor of a building."""

    key: str
    name: str
    building: str
    level: int | None = None
    """Orders them, 0 is the ground floor; None where the file does not say."""
    brick_class: str = "Storey"


@dataclass(frozen=True, slots=True)
class SpaceNode:
    """A room or another space on a storey."""

    key: str
    name: str
    storey: str
    brick_class: str = "Room"
    area: float | None = None
    """Net floor area, m²."""
    capacity: int | None = None
    """People that it is meant for."""
    comfort_category: str | None = None
    """`I`, `II`, `III` or `IV` of EN 16798-1; None: II, a normal level of expectation."""


@dataclass(frozen=True, slots=True)
class ZoneNode:
    """Spaces that are treated alike, such as an `HVAC_Zone`; it may cut across storeys."""

    key: str
    name: str
    brick_class: str = "Zone"
    spaces: tuple[str, ...] = ()
    """Keys, in order."""


@dataclass(frozen=True, slots=True)
class EquipmentNode:
    """A device of the building, such as an `AHU`; not what publishes values for it."""

    key: str
    name: str
    brick_class: str = "Equipment"
    location: str | None = None
    """Key of the building, storey, space or zone in which it stands."""
    part_of: str | None = None
    """Key of the equipment that it belongs to."""
    feeds: tuple[str, ...] = ()
    """Keys of the equipment, zones and spaces that it serves, in order."""


@dataclass(frozen=True, slots=True)
class PointNode:
    """What is measured or commanded, as the model names it."""

    key: str
    name: str
    brick_class: str = "Point"
    of: str | None = None
    """Key of the equipment, zone, space, storey or building that it tells about."""
    unit: str | None = None
    """As `insula_tenants.devices.units.check_unit` keeps it."""
    series: str | None = None
    """`device/point`: the device's point that brings its values; None where none does yet."""


@dataclass(frozen=True, slots=True)
class ModelDocument:
    """All of a model, or of one building's, each kind by key."""

    sites: tuple[SiteNode, ...] = ()
    buildings: tuple[BuildingNode, ...] = ()
    storeys: tuple[StoreyNode, ...] = ()
    spaces: tuple[SpaceNode, ...] = ()
    zones: tuple[ZoneNode, ...] = ()
    equipment: tuple[EquipmentNode, ...] = ()
    points: tuple[PointNode, ...] = ()
