"""Project Haystack's grids become the building model that they describe, in either encoding."""

from __future__ import annotations

import json

import pytest

from insula_tenants.brick.classes import is_class
from insula_tenants.brick.haystack import read_haystack
from insula_tenants.brick.haystack.tags import (
    EQUIPMENT,
    METERS,
    SPACES,
    equipment_class,
    point_class,
    time_zone_of,
    unit_of,
)
from insula_tenants.brick.read import read_brick
from insula_tenants.brick.write import graph_of
from insula_tenants.building_model.document import (
    BuildingNode,
    EquipmentNode,
    ModelDocument,
    PointNode,
    SiteNode,
    SpaceNode,
    StoreyNode,
)
from insula_tenants.errors import InvalidInput

OLDER = {
    "meta": {"ver": "3.0"},
    "cols": [{"name": "id"}],
    "rows": [
        {
            "id": "r:hq Headquarters",
            "site": "m:",
            "area": "n:10000 ft²",
            "tz": "s:Brussels",
            "geoCoord": "c:50.85,4.35",
            "geoCity": "s:Brussels",
        },
        {"id": "r:f1 Floor 1", "floor": "m:", "space": "m:", "siteRef": "r:hq", "floorNum": "n:1"},
        {"id": "r:r1 Room", "space": "m:", "room": "m:", "spaceRef": "r:f1", "area": "n:20 m²"},
        {"id": "r:a AHU-1", "equip": "m:", "ahu": "m:", "siteRef": "r:hq", "spaceRef": "r:f1"},
        {"id": "r:v VAV-1", "equip": "m:", "vav": "m:", "airRef": "r:a", "spaceRef": "r:r1"},
        {
            "id": "r:p:demo:r:1 Zone temp",
            "point": "m:",
            "zone": "m:",
            "air": "m:",
            "temp": "m:",
            "sensor": "m:",
            "equipRef": "r:v",
            "siteRef": "r:hq",
            "unit": "s:°C",
            "kind": "s:Number",
            "curVal": "n:21.5 °C",
            "his": "m:",
        },
    ],
}  # fmt: skip
I = "urn:haystack:"  # noqa: E741 - short, since it stands in every line
MODEL = ModelDocument(
    sites=(SiteNode(f"{I}hq_site", "Headquarters", latitude=50.85, longitude=4.35),),
    # 10 000 ft² of 0.09290304 m² each.
    buildings=(
        BuildingNode(f"{I}hq", "Headquarters", f"{I}hq_site", "Building", "Europe/Brussels", 929.0304),
    ),
    storeys=(StoreyNode(f"{I}f1", "Floor 1", f"{I}hq", 1, "Floor"),),
    spaces=(SpaceNode(f"{I}r1", "Room", f"{I}f1", "Room", 20.0),),
    equipment=(
        EquipmentNode(f"{I}a", "AHU-1", "AHU", f"{I}f1", feeds=(f"{I}v",)),
        EquipmentNode(f"{I}v", "VAV-1", "VAV", f"{I}r1"),
    ),
    points=(PointNode(f"{I}p:demo:r:1", "Zone temp", "Zone_Air_Temperature_Sensor", f"{I}v", "degC"),),
)


def newer(value):
    """A value of version 3 as Haystack 4 writes it."""
    letter, _, rest = value.partition(":")
    first, _, after = rest.partition(" ")
    match letter:
        case "m":
            return {"_kind": "marker"}
        case "r":
            return {"_kind": "ref", "val": first, **({"dis": after} if after else {})}
        case "n":
            return {"_kind": "number", "val": float(first), "unit": after} if after else float(first)
        case "c":
            latitude, longitude = rest.split(",")
            return {"_kind": "coord", "lat": float(latitude), "lng": float(longitude)}
        case _:
            return rest


def test_both_encodings_describe_the_same_building():
    older = read_haystack(json.dumps(OLDER).encode())
    rows = [{tag: newer(value) for tag, value in row.items()} for row in OLDER["rows"]]
    grid = {"_kind": "grid", "meta": {"ver": "3.0"}, "cols": OLDER["cols"], "rows": rows}
    assert older.document == MODEL
    assert read_haystack(json.dumps(grid).encode()) == older
    assert read_haystack(json.dumps(rows).encode()) == older
    assert [(one.key, one.field, one.detail) for one in older.problems] == [
        (f"{I}hq", "tags", "a model does not keep geoCity"),
        (f"{I}p:demo:r:1", "tags", "a model does not keep curVal, his"),
    ]


def test_what_came_from_haystack_goes_out_as_brick_and_comes_in_the_same():
    reading = read_brick(graph_of(MODEL))
    assert reading.document == MODEL
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("row", "key", "field"),
    [
        ({"dis": "x", "site": "m:"}, "row 7", "id"),
        ({"id": "r:hq", "site": "m:"}, f"{I}hq", "id"),
        ({"id": "r:x", "weatherStation": "m:"}, f"{I}x", "markers"),
        ({"id": "r:x", "equip": "m:", "spaceRef": "r:gone"}, f"{I}x", "spaceRef"),
        ({"id": "r:x", "equip": "m:", "siteRef": "r:hq", "gizmo": "m:"}, f"{I}x", "brick_class"),
        ({"id": "r:x", "point": "m:", "sensor": "m:", "unit": "s:frobs"}, f"{I}x", "unit"),
        ({"id": "r:x", "space": "m:", "siteRef": "r:hq", "area": "n:3 acre"}, f"{I}x", "area"),
        ({"id": "r:x", "site": "m:", "tz": "s:Atlantis"}, f"{I}x", "time_zone"),
        ({"id": "r:x", "equip": "m:", "ahu": "m:", "equipRef": "r:x"}, f"{I}x", "isPartOf"),
    ],
)
def test_what_cannot_be_mapped_is_told(row, key, field):
    reading = read_haystack(json.dumps(OLDER | {"rows": [*OLDER["rows"], row]}).encode())
    assert (key, field) in {(one.key, one.field) for one in reading.problems}


@pytest.mark.parametrize(
    ("markers", "name"),
    [
        ("zone air temp sensor", "Zone_Air_Temperature_Sensor"),
        ("discharge air temp sensor", "Supply_Air_Temperature_Sensor"),
        ("return air temp sensor", "Return_Air_Temperature_Sensor"),
        ("outside air temp sensor", "Outside_Air_Temperature_Sensor"),
        ("zone air temp sp", "Target_Zone_Air_Temperature_Setpoint"),
        ("zone air temp cooling sp", "Cooling_Zone_Air_Temperature_Setpoint"),
        ("discharge air flow sensor", "Supply_Air_Flow_Sensor"),
        ("elec power sensor", "Electric_Power_Sensor"),
        ("elec energy sensor", "Electrical_Energy_Usage_Sensor"),
        ("zone air co2 concentration sensor", "Zone_CO2_Level_Sensor"),
        ("damper cmd", "Damper_Command"),
        ("fan speed cmd", "Fan_Speed_Command"),
        ("occupied sensor", "Occupancy_Sensor"),
        ("sensor", "Sensor"),
        ("", "Point"),
    ],
)
def test_markers_of_points_become_the_narrowest_class_that_they_say(markers: str, name: str):
    assert point_class({"point", *markers.split()})[0] == name


def test_markers_of_equipment_become_classes():
    assert equipment_class({"equip", "elec", "meter", "siteMeter"})[0] == "Electrical_Meter"
    assert equipment_class({"equip", "ahu", "rooftop"})[0] == "AHU"
    assert equipment_class({"equip", "ahu", "fan", "discharge"})[0] == "Fan"
    assert equipment_class({"equip"})[0] == "Equipment"
    assert all(is_class(one) for one in (*EQUIPMENT.values(), *METERS.values(), *SPACES.values()))


def test_units_and_time_zones_are_those_of_here():
    symbols = ("°F", "%RH", "cfm", "kWh", "m³/h", "inH₂O", "ppm", "W", "gal/min", "psi", "tonref", "L/s")
    assert [unit_of(one) for one in symbols] == [
        "degF",
        "percent",
        "ft**3/min",
        "kWh",
        "m**3/h",
        "inch_H2O_60F",
        "ppm",
        "W",
        "gallon/min",
        "psi",
        "refrigeration_ton",
        "L/s",
    ]
    assert unit_of("2 + 2") is None
    assert [time_zone_of(one) for one in ("New_York", "Europe/Paris", "UTC", "GMT+5", "Louisville")] == [
        "America/New_York",
        "Europe/Paris",
        "UTC",
        "Etc/GMT+5",
        "America/Louisville",
    ]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{", "line 1: this is no JSON"),
        (b"[1]", "send a grid"),
        (b'{"rows": 5}', "send a grid"),
        (b'{"rows": []}', "there is no row with an id"),
        (b'{"rows": [{"id": "r:a", "area": "n:many"}]}', "row 1: 'n:many' is no value for 'area'"),
        (b'[{"id": {"_kind": "ref"}}]', "is no value for 'id'"),
        (b"[" * 100_000, "deeper than 64 levels"),
        ('{"rows": []}'.encode("utf-16"), "is no UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_told(content: bytes, detail: str):
    with pytest.raises(InvalidInput) as error:
        read_haystack(content)
    assert detail in error.value.detail
