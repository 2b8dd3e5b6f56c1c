"""What a building model is made of: the kinds, their tables, and the Brick classes that each may be of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from insula_tenants.building_model.models import Equipment, ModelPoint, Zone
from insula_tenants.spaces.models import Building, Site, Space, Storey

Kind = Literal["site", "building", "storey", "space", "zone", "equipment", "model-point"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What stands in others comes after them."""

Row = Site | Building | Storey | Space | Zone | Equipment | ModelPoint

MODELS: Mapping[Kind, type[Any]] = {
    "site": Site,
    "building": Building,
    "storey": Storey,
    "space": Space,
    "zone": Zone,
    "equipment": Equipment,
    "model-point": ModelPoint,
}
"""Of each a `Row`: mypy knows no type of the statements about any of them."""

CLASSES: Mapping[Kind, tuple[str, ...]] = {
    "site": ("Site",),
    "building": ("Building",),
    "storey": ("Storey",),
    "space": ("Space", "Outdoor_Area", "Outside", "Wing"),
    "zone": ("Zone",),
    "equipment": ("Equipment", "System", "Loop"),
    "model-point": ("Point",),
}
"""A thing of the kind is of one of these classes, or of a kind of it. Systems and loops are collections in
Brick; here they are equipment that others are part of."""

PARENTS: Mapping[Kind, str] = {"building": "site_id", "storey": "building_id", "space": "storey_id"}
"""The column that says in what a thing of the kind stands. It has one name there."""

ABOVE: Mapping[Kind, Kind] = {"building": "site", "storey": "building", "space": "storey"}
"""In what a thing of the kind stands."""

PLACES: Mapping[Kind, tuple[Kind, ...]] = {
    "equipment": ("building", "storey", "space", "zone"),
    "model-point": ("building", "storey", "space", "zone", "equipment"),
}
"""Kinds of which a thing names one at most: where equipment stands, what a point tells about."""


FED: Mapping[Kind, str] = {"equipment": "fed_equipment_id", "space": "fed_space_id", "zone": "fed_zone_id"}
"""What equipment may feed, and the column of a feed that refers to it."""


def column_of(kind: Kind) -> str:
    """The column that refers to a thing of this kind, where one does."""
    return f"{kind}_id"


def words_of(kind: Kind) -> str:
    """The kind as people read it: `model point`."""
    return kind.replace("-", " ")
