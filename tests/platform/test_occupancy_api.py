"""The use of spaces over HTTP: the recorded office, and rooms whose use is made up and counted by hand."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import update

from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client
from insula_tenants.analytics.occupancy.model import card
from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.devices.models import Device
from insula_tenants.spaces import Places, Space, ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.e2e.occupancy import ZONE, read
from tests.platform.conftest import Live

ACME = "/api/v1/tenants/acme/analytics/occupancy"
PERIOD = "from=2015-02-11T13:00:00Z&to=2015-02-18T09:00:00Z"
MONDAY = datetime(2015, 2, 15, 23, tzinfo=UTC)
"""16 February, midnight in Brussels."""
NO_TIMES = (
    "from=0001-01-01T00:00:00Z&to=0002-01-01T00:00:00Z",
    "from=9998-01-02T00:00:00Z&to=9999-12-31T23:00:00Z",
)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

OFFICE = {
    "Temperature": NewPoint("temperature", "Zone_Air_Temperature_Sensor", "degC"),
    "Light": NewPoint("light", "Illuminance_Sensor", "lux"),
    "CO2": NewPoint("co2", "CO2_Level_Sensor", "ppm"),
    "Occupancy": NewPoint("occupancy", "Occupancy_Sensor", states=("free", "occupied")),
}
Readings = dict[str, list[tuple[datetime, float]]]


def recorded() -> Readings:
    readings: Readings = defaultdict(list)
    for point, time, value in read("datatest2.csv"):
        readings[point].append((time, value))
    return readings


def meeting() -> list[tuple[datetime, float]]:
    """On Monday six people from 9 to 11, then one until noon; otherwise, from 8 to 18, none."""
    return [
        (MONDAY + 8 * HOUR + step * 5 * MINUTE, 6.0 if 12 <= step < 36 else 1.0 if 36 <= step < 48 else 0.0)
        for step in range(120)
    ]


@pytest.fixture(scope="module")
def spaces(deployment: Deployment) -> dict[str, int]:
    office = recorded()
    rooms: dict[str, dict[str, tuple[NewPoint, list[tuple[datetime, float]]]]] = {
        "office": {name: (point, office[name]) for name, point in OFFICE.items()},
        "inferred": {name: (OFFICE[name], office[name]) for name in ("Temperature", "Light", "CO2")},
        "co2-only": {"CO2": (OFFICE["CO2"], office["CO2"])},
        "meeting": {"people": (NewPoint("people", "Occupancy_Count_Sensor"), meeting())},
        "motion": {
            "motion": (
                NewPoint("motion", "Motion_Sensor", states=("still", "moving")),
                [(MONDAY + 9 * HOUR, 1.0), (MONDAY + 10.5 * HOUR, 0.0), (MONDAY + 30 * HOUR, 0.0)],
            )
        },
        "attic": {
            "occupancy": (
                OFFICE["Occupancy"],
                [(MONDAY - 24 * HOUR + step * 10 * MINUTE, 0.0) for step in range(288)],
            )
        },
        "forgotten": {
            "motion": (
                NewPoint("motion", "Motion_Sensor", states=("still", "moving")),
                [(MONDAY + 9 * HOUR, 1.0), (MONDAY + 10 * HOUR, 0.0), (MONDAY + 12 * HOUR, 1.0)],
            )
        },
        "removed": {
            "motion": (
                NewPoint("motion", "Motion_Sensor", states=("still", "moving")),
                [(MONDAY + 9 * HOUR, 1.0)],
            )
        },
        "bare": {},
    }
    with deployment.databases.tenant(deployment.globex) as session:  # the neighbour's ids are not acme's
        _room(session, "neighbour")
    made = {name: _furnish(deployment, deployment.acme, name, points) for name, points in rooms.items()}
    with deployment.databases.tenant(deployment.acme) as session:
        gone = {"state": "decommissioned", "decommissioned_at": MONDAY + 11 * HOUR}
        session.execute(update(Device).where(Device.slug == "removed-sensor").values(gone))
    return made


def _room(session: Any, name: str) -> int:
    return ensure_space(
        session,
        site="Mons",
        building="Office",
        time_zone="Europe/Brussels",
        storey="Ground floor",
        level=0,
        name=name,
    )


def _furnish(deployment: Deployment, context: TenantContext, name: str, points: dict[str, Any]) -> int:
    slug = f"{name}-sensor"
    with deployment.databases.tenant(context) as session:
        space = _room(session, name)
        session.execute(update(Space).where(Space.id == space).values(capacity=10))
        create_device(
            session, slug, name=slug, space_id=space, points=[point for point, _ in points.values()]
        )
        ids = {point.name: point.id for point in list_points(session, device=slug)}
    batch = TenantBatch(context)
    for point, readings in points.values():
        for time, value in readings:
            batch.readings[ids[point.name], round(time.timestamp() * 1e6)] = value
    if batch.readings:
        with psycopg.connect(deployment.service_url, autocommit=True) as connection:
            TelemetryWriter(connection).write([batch])
    return space


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    client_id, secret = live.service
    answer = live.token_request((client_id, secret), grant_type="client_credentials")
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def answer(live: Live, token: str, spaces: dict[str, int]) -> dict[str, Any]:
    found = live.get(f"{ACME}?{PERIOD}", token)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.fixture(scope="module")
def used(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in answer["items"]}


def quarters(point: str) -> dict[datetime, float]:
    """The means of quarters of an hour of the file, with the standard library."""
    values: dict[datetime, list[float]] = defaultdict(list)
    for time, value in recorded()[point]:
        values[time - timedelta(minutes=time.minute % 15, seconds=time.second)].append(value)
    return {time: sum(some) / len(some) for time, some in values.items()}


def test_the_recorded_office_was_used_as_its_file_says(used: dict[str, dict[str, Any]]):
    office = used["office"]
    occupied = quarters("Occupancy")
    assert office["source"] == "measured"
    assert office["confidence"] == {"level": "high", "reasons": []}
    assert office["hours_observed"] == len(occupied) / 4
    assert office["hours_in_use"] == pytest.approx(sum(occupied.values()) / 4)
    assert office["share_in_use"] == pytest.approx(sum(occupied.values()) / len(occupied))
    by_day: dict[Any, list[datetime]] = defaultdict(list)
    for time, share in occupied.items():
        if share > 0:
            by_day[time.astimezone(ZONE).date()].append(time.astimezone(ZONE))
    assert office["days_used"] == len(by_day)
    firsts = sorted(min(times).strftime("%H:%M") for times in by_day.values())
    assert firsts[0] <= office["first_use"] <= firsts[-1]
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for time, share in occupied.items():
        local = time.astimezone(ZONE)
        cells[local.weekday(), local.hour].append(share)
    for weekday in range(7):
        for hour in range(24):
            shares = cells.get((weekday, hour))
            expected = pytest.approx(sum(shares) / len(shares), abs=1e-4) if shares else None
            assert office["heat_map"][weekday][hour] == expected


def test_where_a_room_has_both_they_are_compared_and_the_agreement_is_the_models_accuracy(
    used: dict[str, dict[str, Any]],
):
    compared = used["office"]["comparison"]
    assert compared["variant"] == "light_co2_temperature"
    counts = [compared[name] for name in ("seen_and_inferred", "seen_only", "inferred_only", "neither")]
    assert sum(counts) == compared["compared"] == 651
    (told,) = (each for each in card()["variants"] if each["name"] == "light_co2_temperature")
    (score,) = (each for each in told["scores"] if (each["data"], each["seconds"]) == ("datatest2.csv", 900))
    assert compared["agreement"] == pytest.approx(score["accuracy"], abs=5e-5)


def test_use_is_inferred_where_no_sensor_tells_and_says_how_far_to_trust_it(
    used: dict[str, dict[str, Any]],
):
    inferred, office = used["inferred"], used["office"]
    assert (inferred["source"], inferred["variant"]) == ("inferred", "light_co2_temperature")
    assert inferred["comparison"] is None
    assert inferred["hours_in_use"] == pytest.approx(office["hours_in_use"], rel=0.1)
    assert inferred["confidence"]["level"] in {"medium", "low"}
    assert "right of 97%" in inferred["confidence"]["reasons"][0]
    co2 = used["co2-only"]
    assert (co2["variant"], co2["confidence"]["level"]) == ("co2", "low")
    assert "CO2 alone" in co2["confidence"]["reasons"][0]


def test_people_are_counted_against_the_capacity(used: dict[str, dict[str, Any]]):
    meeting_room = used["meeting"]
    assert meeting_room["source"] == "counted"
    assert (meeting_room["hours_observed"], meeting_room["hours_in_use"]) == (10, 3)
    assert meeting_room["people"] == {
        "average": pytest.approx((2 * 6 + 1) / 3),
        "peak": 6,
        "peak_at": "2015-02-16T08:00:00Z",
        "average_share": pytest.approx(13 / 30),
        "peak_share": 0.6,
    }
    assert (meeting_room["first_use"], meeting_room["last_use"]) == ("09:00", "12:00")
    assert meeting_room["heat_map"][0][7:13] == [None, 0, 1, 1, 1, 0]


def test_what_reports_events_says_so_until_it_reports_again(used: dict[str, dict[str, Any]]):
    motion = used["motion"]
    assert motion["hours_in_use"] == pytest.approx(1.5)
    assert motion["completeness"] == {"expected": 0, "present": 0, "share": None, "estimated": False}
    assert motion["confidence"] == {
        "level": "medium",
        "reasons": ["a motion sensor does not see who sits still"],
    }


def test_presence_is_not_believed_for_ever(used: dict[str, dict[str, Any]], live: Live, token: str):
    forgotten, removed = used["forgotten"], used["removed"]
    assert (forgotten["hours_observed"], forgotten["hours_in_use"]) == (27, pytest.approx(25))
    assert (removed["hours_observed"], removed["hours_in_use"]) == (2, pytest.approx(2))
    later = "from=2015-02-17T12:00:00Z&to=2015-02-19T00:00:00Z"  # 13:00 in Brussels: 25 hours after
    rooms = live.get(f"{ACME}?{later}", token).json()["items"]
    hours = {each["name"]: (each["hours_observed"], each["hours_in_use"]) for each in rooms}
    assert (hours["forgotten"], hours["removed"]) == ((0, 0), (0, 0))
    assert hours["motion"] == (36, 0), "that nobody is there holds on"


def test_a_room_that_is_never_used_is_told_from_one_that_nothing_tells_of(
    answer: dict[str, Any], used: dict[str, dict[str, Any]], spaces: dict[str, int]
):
    assert answer["never_used"] == [spaces["attic"]]
    assert (used["attic"]["share_in_use"], used["attic"]["never_used"]) == (0, True)
    bare = used["bare"]
    assert (bare["source"], bare["share_in_use"], bare["never_used"]) == ("none", None, False)
    assert bare["confidence"]["level"] == "none"
    assert (answer["spaces"], answer["observed"], answer["bucket_seconds"]) == (9, 8, 900)


def test_one_space_day_by_day(live: Live, token: str, spaces: dict[str, int]):
    found = live.get(f"{ACME}/days?{PERIOD}&space={spaces['meeting']}", token).json()
    assert found["days"] == [
        {
            "day": "2015-02-16",
            "hours_observed": 10,
            "hours_in_use": 3,
            "first_use": "2015-02-16T08:00:00Z",
            "last_use": "2015-02-16T11:00:00Z",
            "peak_people": 6,
        }
    ]
    assert found["use"]["name"] == "meeting"
    missing = live.get(f"{ACME}/days?{PERIOD}", token)
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "query.space")


def test_spaces_come_in_pages(live: Live, token: str, spaces: dict[str, int]):
    first = live.get(f"{ACME}?{PERIOD}&limit=5", token).json()
    second = live.get(f"{ACME}?{PERIOD}&limit=5&cursor={first['next_cursor']}", token).json()
    assert [each["space"] for each in (*first["items"], *second["items"])] == sorted(spaces.values())
    assert second["next_cursor"] is None


def test_the_model_card_is_shown(live: Live, token: str):
    shown = live.get(f"{ACME}/model", token).json()
    assert shown["data"]["licence"] == "CC BY 4.0"
    assert shown["data"]["from"].startswith("2015-02-04T17:51")
    assert [each["name"] for each in shown["variants"]] == ["light_co2_temperature", "light", "co2"]
    assert len(shown["limits"]) >= 5
    assert {key: shown["variants"][1][key] for key in ("intercept", "scores", "features")} == {
        key: card()["variants"][1][key] for key in ("intercept", "scores", "features")
    }


def test_a_neighbour_and_a_grant_for_one_space_see_no_more(
    live: Live, deployment: Deployment, token: str, spaces: dict[str, int]
):
    """The neighbour's ids are like ids that are nobody's."""
    assert live.get(f"/api/v1/tenants/globex/analytics/occupancy?{PERIOD}", token).status_code == 404
    for no_time in NO_TIMES:
        for path in ("", f"/days?space={spaces['office']}"):
            assert live.get(f"{ACME}{path}{'&' if path else '?'}{no_time}", token).status_code == 200
    nowhere = 2**30
    assert live.get(f"{ACME}?{PERIOD}&space={nowhere}", token).json()["items"] == []
    days = live.get(f"{ACME}/days?{PERIOD}&space={nowhere}", token).json()
    assert (days["use"], days["days"]) == (None, [])
    with deployment.databases.core() as core:
        client, secret = create_service_client(core, deployment.acme, "one room", "readings:read")
        places = Places(spaces=frozenset({spaces["attic"]}))
        core.get_one(Client, client).places = places.told
    narrow = live.token_request((client, secret), grant_type="client_credentials").json()["access_token"]
    assert [each["name"] for each in live.get(f"{ACME}?{PERIOD}", narrow).json()["items"]] == ["attic"]
    days = live.get(f"{ACME}/days?{PERIOD}&space={spaces['office']}", narrow).json()
    assert (days["use"], days["days"]) == (None, [])
    with deployment.databases.core() as core:
        client, secret = create_service_client(core, deployment.acme, "devices only", "devices:read")
    without = live.token_request((client, secret), grant_type="client_credentials").json()["access_token"]
    assert live.get(f"{ACME}?{PERIOD}", without).status_code == 403
