"""Which meters make up a place: worked out on a drawing of four meters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from insula_tenants.analytics.energy.places import Place, is_whole, topmost
from insula_tenants.energy.meters import MeterView
from insula_tenants.energy.units import factor_of
from insula_tenants.errors import InvalidInput

NOTHING = MeterView(
    id=0,
    name="Meter",
    carrier="electricity",
    point_id=1,
    building_id=None,
    storey_id=None,
    space_id=None,
    equipment_id=None,
    submeter_of=None,
    calorific_value=None,
    building=1,
    storey=None,
    space=None,
    time_zone="Europe/Brussels",
    ancestors=(),
    submeters=0,
    device="board",
    point_name="energy",
    brick_class=None,
    unit="kWh",
    kind="counter",
    expected_interval=None,
)
MAIN = replace(NOTHING, id=1, building_id=1)
GROUND = replace(NOTHING, id=2, storey_id=10, storey=10, submeter_of=1, ancestors=(1,))
OFFICE = replace(NOTHING, id=3, space_id=101, storey=10, space=101, submeter_of=2, ancestors=(2, 1))
LAB = replace(NOTHING, id=4, space_id=111, storey=11, space=111, submeter_of=1, ancestors=(1,))
CHILLER = replace(NOTHING, id=5, equipment_id=7, storey=11, ancestors=())
BUILDING = Place(
    "building", 1, "Forum", None, {10: frozenset({101, 102}), 11: frozenset({111})}, 1, "Europe/Brussels"
)
FIRST = replace(BUILDING, kind="storey", id=11, storeys={11: frozenset({111})})


def ids(meters: list[MeterView]) -> list[int]:
    return [meter.id for meter in meters]


def test_no_meter_is_counted_that_another_one_takes_in():
    assert ids(topmost([MAIN, GROUND, OFFICE, LAB, CHILLER])) == [1, 5]
    assert ids(topmost([OFFICE, LAB, CHILLER])) == [3, 4, 5]
    # The meter between them is out of sight: the office's is in the main one's all the same.
    assert ids(topmost([MAIN, OFFICE])) == [1]


def test_a_place_is_whole_by_its_own_meter_or_by_all_of_its_parts():
    assert is_whole(BUILDING, [MAIN])
    assert is_whole(BUILDING, [GROUND, LAB]), "a storey, and the other one's only space"
    assert not is_whole(BUILDING, [GROUND]), "the first floor is missing"
    assert not is_whole(BUILDING, [OFFICE, LAB]), "space 102 is missing"
    assert is_whole(FIRST, [LAB])
    assert not is_whole(FIRST, [CHILLER]), "an equipment is not the storey it stands on"
    assert not is_whole(replace(FIRST, storeys={11: frozenset()}), [CHILLER])


def test_counters_count_in_many_units():
    assert factor_of("electricity", "Wh", None) == pytest.approx(0.001)
    assert factor_of("heat", "GJ", None) == pytest.approx(1000 / 3.6)
    assert factor_of("gas", "m**3", 11.2) == pytest.approx(11.2)
    assert factor_of("gas", "kWh", None) == 1.0
    assert factor_of("water", "liter", None) == pytest.approx(0.001)
    with pytest.raises(InvalidInput, match="already"):
        factor_of("gas", "kWh", 11.2)
    with pytest.raises(InvalidInput, match="no volume"):
        factor_of("water", "kWh", None)
