"""A building model goes from a document to the tables and back, and comes out the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from insula_tenants.building_model import ModelDocument, apply_model, read_model
from insula_tenants.building_model.coverage import coverage_of
from insula_tenants.building_model.document import (
    BuildingNode,
    EquipmentNode,
    PointNode,
    SiteNode,
    SpaceNode,
    StoreyNode,
    ZoneNode,
)
from insula_tenants.building_model.models import ModelPoint
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.spaces import (
    Building,
    Places,
    Site,
    Space,
    Storey,
    covered_spaces,
    ensure_space,
    list_spaces,
)
from tests.conftest import Deployment

X = "https://example.com/forum#"

FORUM = ModelDocument(
    sites=(SiteNode(f"{X}campus", "Campus", latitude=50.85, longitude=4.35),),
    buildings=(BuildingNode(f"{X}forum", "Forum", f"{X}campus", "Building", "Europe/Brussels", 900.0),),
    storeys=(
        StoreyNode(f"{X}ground", "Ground floor", f"{X}forum", 0),
        StoreyNode(f"{X}roof", "Roof", f"{X}forum", 3),
    ),
    spaces=(
        SpaceNode(f"{X}hall", "Hall", f"{X}ground", "Lobby", 80.5),
        SpaceNode(f"{X}room", "Meeting room", f"{X}ground", "Conference_Room", 30.0, 8, "I"),
        SpaceNode(f"{X}terrace", "Terrace", f"{X}roof", "Outdoor_Area"),
    ),
    zones=(ZoneNode(f"{X}zone", "South", "HVAC_Zone", (f"{X}hall", f"{X}room")),),
    equipment=(
        EquipmentNode(f"{X}ahu", "AHU 1", "AHU", f"{X}roof", feeds=(f"{X}vav",)),
        EquipmentNode(f"{X}fan", "Supply fan", "Supply_Fan", part_of=f"{X}ahu"),
        EquipmentNode(f"{X}vav", "VAV 1", "VAV", f"{X}zone", feeds=(f"{X}hall", f"{X}zone")),
    ),
    points=(
        PointNode(f"{X}sat", "Supply air", "Supply_Air_Temperature_Sensor", f"{X}ahu", "degC"),
        PointNode(
            f"{X}zt", "Zone air", "Zone_Air_Temperature_Sensor", f"{X}zone", "degC", "meter/temperature"
        ),
    ),
)


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A transaction of acme that leaves nothing behind."""
    with deployment.databases.tenant(deployment.acme) as session:
        yield session
        session.rollback()


@pytest.fixture
def there(session: Session) -> Session:
    """The same, with the Forum in it, and the device that its model speaks of."""
    place = {"site": "Depot", "building": "Shed", "time_zone": "UTC", "storey": "Floor", "level": 0}
    shed = ensure_space(session, **place, name="Corner")
    points = [NewPoint("temperature", "Zone_Air_Temperature_Sensor", "degC"), NewPoint("odd", "Homemade")]
    create_device(session, "meter", name="Meter", space_id=shed, points=points)
    assert apply_model(session, FORUM).problems == ()
    return session


def test_what_went_in_comes_out_and_goes_in_again_unchanged(session: Session):
    create_device(session, "meter", name="Meter", points=[NewPoint("temperature")])
    first = apply_model(session, FORUM)
    assert first.problems == ()
    assert first.created == {
        "site": 1,
        "building": 1,
        "storey": 2,
        "space": 3,
        "zone": 1,
        "equipment": 3,
        "model-point": 2,
    }
    assert (first.updated, first.unchanged) == ({}, {})
    assert read_model(session) == FORUM
    again = apply_model(session, FORUM)
    assert (again.created, again.updated, again.problems) == ({}, {}, ())
    assert again.unchanged == first.created


def test_a_rehearsal_changes_nothing_and_tells_the_same(session: Session):
    before = read_model(session)
    rehearsed = apply_model(session, FORUM, dry_run=True)
    assert read_model(session) == before
    assert apply_model(session, FORUM) == rehearsed


def test_what_is_here_without_an_iri_goes_out_and_comes_back(there: Session):
    """Sites to spaces by their ids, and the points of devices as what they are."""
    model = read_model(there)
    corner = next(one for one in model.spaces if one.name == "Corner")
    assert corner.key.startswith("urn:insula:acme:space:")
    odd = next(one for one in model.points if one.series == "meter/odd")
    assert (odd.of, odd.brick_class) == (corner.key, "Point"), "Brick has no such class"
    assert len([one for one in model.points if one.series == "meter/temperature"]) == 1, "the model's alone"
    again = apply_model(there, model)
    assert (again.created, again.updated, again.problems) == ({}, {}, ())
    nodes = (model.sites, model.buildings, model.storeys, model.spaces, model.zones, model.equipment)
    assert list(again.unchanged.values()) == [*map(len, nodes), len(model.points)]


def test_another_tenant_keeps_the_names_that_the_first_one_made(deployment: Deployment, there: Session):
    model = read_model(there)
    with deployment.databases.tenant(deployment.globex) as session:
        create_device(session, "meter", name="Meter", points=[NewPoint("temperature"), NewPoint("odd")])
        assert apply_model(session, model).problems == ()
        assert read_model(session) == model
        session.rollback()


def test_what_has_no_iri_is_known_by_its_name_and_place_and_takes_the_iri(session: Session):
    place = {"site": "Campus", "building": "Forum", "storey": "Ground floor", "level": 7}
    hall = ensure_space(session, **place, time_zone="Europe/Paris", name="Hall")
    outcome = apply_model(session, FORUM)
    assert outcome.updated == {"site": 1, "building": 1, "storey": 1, "space": 1}
    assert outcome.created["space"] == 2
    row = session.get_one(Space, hall)
    assert (row.iri, row.area, row.brick_class) == (f"{X}hall", 80.5, "Lobby")
    assert read_model(session).storeys[0].level == 0


def test_what_a_document_does_not_say_stays(there: Session):
    room = SpaceNode(f"{X}room", "Board room", f"{X}ground", "Conference_Room")
    storey = StoreyNode(f"{X}roof", "Roof", f"{X}forum")
    zone = ZoneNode(f"{X}zone", "South", "HVAC_Zone", (f"{X}terrace",))
    vav = EquipmentNode(f"{X}vav", "VAV 1", "VAV")
    building = BuildingNode(f"{X}forum", "Forum", f"{X}campus")
    partial = ModelDocument(
        buildings=(building,), storeys=(storey,), spaces=(room,), zones=(zone,), equipment=(vav,)
    )
    outcome = apply_model(there, partial)
    assert outcome.problems == ()
    assert (outcome.updated, outcome.unchanged) == (
        {"space": 1, "zone": 1},
        {"building": 1, "storey": 1, "equipment": 1},
    )
    model = read_model(there)
    assert replace(FORUM.spaces[1], name="Board room") in model.spaces
    assert FORUM.buildings[0] in model.buildings
    assert FORUM.storeys[1] in model.storeys
    assert FORUM.equipment[2] in model.equipment
    assert replace(FORUM.zones[0], spaces=(f"{X}hall", f"{X}room", f"{X}terrace")) in model.zones


def test_a_space_moves_to_where_the_document_says(there: Session):
    moved = replace(FORUM.spaces[1], storey=f"{X}roof")
    assert apply_model(there, ModelDocument(spaces=(moved,))).updated == {"space": 1}
    assert moved in read_model(there).spaces


def test_names_may_be_exchanged(there: Session):
    hall, room, _ = FORUM.spaces
    swapped = (replace(hall, name=room.name), replace(room, name="Elsewhere"))
    told = apply_model(there, ModelDocument(spaces=tuple(reversed(swapped))))
    assert told.problems == ()
    assert {one.name for one in read_model(there).spaces} >= {"Meeting room", "Elsewhere"}


def test_what_cannot_be_so_is_told_and_the_rest_is_taken(session: Session):
    document = ModelDocument(
        sites=(SiteNode("no iri", "Nowhere"), SiteNode(f"{X}s", "Site", latitude=95.0)),
        buildings=(
            BuildingNode(f"{X}b", "Block", f"{X}s", time_zone="Mars/Olympus", area=-1.0),
            BuildingNode(f"{X}b2", "Block", f"{X}s"),
            BuildingNode(f"{X}b3", "Lost", f"{X}nowhere"),
        ),
        storeys=(StoreyNode(f"{X}f", "  1st \n floor ", f"{X}b", 5000),),
        spaces=(
            SpaceNode(f"{X}r", "", f"{X}f", "Confrence_Room", capacity=-1, comfort_category="V"),
            SpaceNode(f"{X}r", "Twice", f"{X}f"),
            SpaceNode(f"{X}s", "A site's name", f"{X}f"),
        ),
        zones=(ZoneNode(f"{X}z", "Zone", spaces=(f"{X}r", f"{X}b")),),
        equipment=(
            EquipmentNode(f"{X}a", "A", location=f"{X}s", part_of=f"{X}c", feeds=(f"{X}b",)),
            EquipmentNode(f"{X}c", "C", part_of=f"{X}a"),
            EquipmentNode(f"{X}d", "D", part_of=f"{X}d"),
        ),
        points=(PointNode(f"{X}p", "P", "Room", unit="furlongs per", series="nobody/nothing"),),
    )
    outcome = apply_model(session, document)
    assert sorted((one.key.removeprefix(X), one.field) for one in outcome.problems) == [
        ("a", "feeds"),
        ("a", "location"),
        ("b", "area"),
        ("b", "time_zone"),
        ("b2", "name"),
        ("b2", "time_zone"),
        ("b3", "site"),
        ("c", "part_of"),
        ("d", "part_of"),
        ("f", "level"),
        ("no iri", ""),
        ("p", "brick_class"),
        ("p", "series"),
        ("p", "unit"),
        ("r", ""),
        ("r", "brick_class"),
        ("r", "capacity"),
        ("r", "comfort_category"),
        ("r", "name"),
        ("s", ""),
        ("s", "latitude"),
        ("z", "spaces"),
    ]
    details = {(one.key.removeprefix(X), one.field): one.detail for one in outcome.problems}
    assert "did you mean Conference_Room" in details["r", "brick_class"]
    model = read_model(session)
    assert {one.name for one in model.buildings} == {"Block", "Block (b2)"}
    assert (model.spaces[0].name, model.spaces[0].brick_class) == ("r", "Room")
    assert model.storeys[0].name == "1st floor"
    assert model.zones[0].spaces == (f"{X}r",)
    assert [one.part_of for one in model.equipment] == [f"{X}c", None, None]
    again = apply_model(session, document)
    assert (again.created, again.updated) == ({}, {}), "the same once more"


def test_a_device_brings_values_to_one_point_of_the_model(there: Session):
    """Two devices' points of the same name in the same place stay apart."""
    corner = there.scalars(select(Space.id).where(Space.name == "Corner")).one()
    create_device(there, "second", name="Second", space_id=corner, points=[NewPoint("odd")])
    key = next(one.key for one in read_model(there).spaces if one.name == "Corner")
    ids = {one.device: one.id for one in list_points(there) if one.name == "odd"}
    document = ModelDocument(
        points=tuple(
            PointNode(f"urn:x:{number}", "odd", of=key, series=f"{device}/odd")
            for number, device in enumerate(("second", "meter", "meter"))
        )
    )
    outcome = apply_model(there, document)
    assert outcome.created == {"model-point": 3}
    assert [(one.key, one.field) for one in outcome.problems] == [("urn:x:2", "series")]
    bound = select(ModelPoint.iri, ModelPoint.point_id).where(ModelPoint.iri.startswith("urn:x:"))
    assert {row.iri: row.point_id for row in there.execute(bound)} == {
        "urn:x:0": ids["second"],
        "urn:x:1": ids["meter"],
        "urn:x:2": None,
    }


def test_what_a_file_adds_to_a_devices_point_makes_it_a_point_of_the_model(there: Session):
    model = read_model(there)
    odd = next(one for one in model.points if one.series == "meter/odd")
    told = replace(odd, of=f"{X}ahu")
    assert apply_model(there, ModelDocument(points=(told,))).created == {"model-point": 1}
    after = read_model(there)
    (now,) = [one for one in after.points if one.series == "meter/odd"]
    assert (now.of, now.name) == (f"{X}ahu", "odd")
    assert now.key.startswith("urn:insula:acme:model-point:")
    assert len(after.points) == len(model.points)


def test_a_building_alone(there: Session):
    forum = there.scalars(select(Storey.building_id).where(Storey.name == "Roof")).one()
    alone = read_model(there, building=forum)
    assert alone == FORUM
    shed = there.scalars(select(Storey.building_id).where(Storey.name == "Floor")).one()
    other = read_model(there, building=shed)
    assert [one.name for one in other.spaces] == ["Corner"]
    assert [one.name for one in other.sites] == ["Depot"]
    assert (other.zones, other.equipment) == ((), ())
    assert [one.series for one in other.points] == ["meter/odd"]
    assert there.scalar(select(func.count()).select_from(Space)) == 4


def test_a_grant_covers_what_stands_in_all_of_its_places(there: Session):
    def ids(model: type[Site | Building | Storey | Space], *names: str) -> frozenset[int]:
        return frozenset(there.scalars(select(model.id).where(model.name.in_(names))))

    forum = Places(buildings=ids(Building, "Forum"))
    ground = Places(storeys=ids(Storey, "Ground floor"), spaces=ids(Space, "Terrace", "Corner"))
    coverage = coverage_of(there, [forum])
    assert coverage is not None
    assert coverage.whole["space"] == coverage.seen["space"] == covered_spaces(there, [forum])
    assert (coverage.whole["site"], coverage.seen["site"]) == (frozenset(), ids(Site, "Campus"))
    assert coverage.whole["building"] == ids(Building, "Forum")
    assert len(coverage.whole["zone"]) == 1
    assert len(coverage.whole["equipment"]) == 2, "the fan is part of another, and stands nowhere itself"
    both = coverage_of(there, [forum, ground])
    assert both is not None
    assert both.whole["space"] == ids(Space, "Hall", "Meeting room", "Terrace")
    assert both.whole["space"] == covered_spaces(there, [forum, ground])
    assert both.whole["storey"] == ids(Storey, "Ground floor")
    assert both.seen["storey"] == ids(Storey, "Ground floor", "Roof")
    assert both.whole["building"] == frozenset()
    assert coverage_of(there, []) is None


def test_spaces_come_by_the_level_of_their_storey_whichever_was_made_first(session: Session):
    for storey, level in (("Ground floor", 0), ("First floor", 1), ("Basement", -1)):
        place = {"site": "Stacked", "building": "Tower", "time_zone": "UTC"}
        ensure_space(session, **place, storey=storey, level=level, name=f"A room, {storey}")
    found = [space.storey for space in list_spaces(session) if space.site == "Stacked"]
    assert found == ["Basement", "Ground floor", "First floor"]
