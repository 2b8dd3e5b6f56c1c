"""Comfort over HTTP: a day that a hand can follow, for one's own spaces and no others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Semaphore
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from insula_platform.analytics import turns
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client
from insula_tenants.analytics.comfort.answers import comfort_of
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.spaces import Places, Space, ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import Live

MIDNIGHT = datetime(2026, 3, 29, 22, tzinfo=UTC)
"""Of Monday in Brussels, the day after summer time began."""
MONDAY = "from=2026-03-30T00:00:00%2B02:00&to=2026-03-31T00:00:00%2B02:00"
COMFORT = "/api/v1/tenants/acme/analytics/comfort"

TEMPERATURE, CO2 = "Zone_Air_Temperature_Sensor", "CO2_Sensor"
HALF_HOUR = timedelta(minutes=30)


def day(morning: float, afternoon: float) -> Iterator[tuple[datetime, float]]:
    """One value until noon, another from then on, each half hour."""
    for place in range(48):
        yield MIDNIGHT + place * HALF_HOUR, morning if place < 24 else afternoon


GAP = {timedelta(hours=8), timedelta(hours=8, minutes=30)}
READINGS: dict[str, list[tuple[datetime, float]]] = {
    "celsius": list(day(23.0, 26.0)),
    "fahrenheit": list(day(73.4, 82.4)),  # 23 and 28 °C
    "co2": [(at, value) for at, value in day(900.0, 1700.0) if at - MIDNIGHT not in GAP],
    # From 19 to 21, and once in the night.
    "presence": [(at, float(38 <= place < 42 or place == 4)) for place, (at, _) in enumerate(day(0.0, 0.0))],
    # Of a sensor that reports events: somebody came at half past eight in the evening, and went at eleven.
    "motion": [
        (MIDNIGHT - timedelta(hours=1), 0.0),
        (MIDNIGHT + timedelta(hours=20.5), 1.0),
        (MIDNIGHT + timedelta(hours=23), 0.0),
    ],
    "office-co2": list(day(500.0, 500.0)),
    "outdoor": [(MIDNIGHT - timedelta(hours=hour), 12.0) for hour in range(-23, 8 * 24)],
}


@pytest.fixture(scope="module")
def spaces(deployment: Deployment) -> dict[str, int]:
    """A meeting room of category I, an office without a thermometer, a silent archive, and a roof."""
    context = deployment.acme
    with deployment.databases.tenant(context) as session:
        found = {name: _space(session, name) for name in ("Archive", "Meeting room", "Office", "Roof")}
        session.get_one(Space, found["Meeting room"]).comfort_category = "I"
        _device(session, found["Meeting room"], ("celsius", TEMPERATURE, "degC"), ("co2", CO2, "ppm"))
        _device(session, found["Meeting room"], ("fahrenheit", TEMPERATURE, "degF"))
        _device(session, found["Meeting room"], ("presence", "Occupancy_Sensor", None))
        _device(session, found["Office"], ("office-co2", CO2, "ppm"), ("lost", TEMPERATURE, "lux"))
        _device(session, found["Archive"], ("silent", TEMPERATURE, "degC"))
        motion = NewPoint("motion", "Motion_Sensor", states=("still", "moving"))
        create_device(session, "motion", name="Motion", space_id=found["Archive"], points=[motion])
        _device(session, found["Roof"], ("outdoor", "Outside_Air_Temperature_Sensor", "degC"))
        points = {point.name: point.id for point in list_points(session)}
    batch = TenantBatch(context)
    for name, point in points.items():
        for at, value in READINGS.get(name, ()):
            batch.readings[point, round(at.timestamp() * 1e6)] = value
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    return found


def _space(session: Session, name: str) -> int:
    return ensure_space(
        session,
        site="Brussels",
        building="Forum",
        time_zone="Europe/Brussels",
        storey="Ground floor",
        level=0,
        name=name,
    )


def _device(session: Session, space: int, *points: tuple[str, str, str | None]) -> None:
    create_device(
        session,
        f"{points[0][0]}-sensor",
        name=points[0][0],
        space_id=space,
        points=[NewPoint(name, brick, unit, expected_interval=1800) for name, brick, unit in points],
    )


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    return _token(live, live.service)


def _token(live: Live, service: tuple[str, str]) -> str:
    answer = live.token_request(service, grant_type="client_credentials")
    return str(answer.json()["access_token"])


def ask(live: Live, token: str, query: str = "") -> dict[str, dict[str, Any]]:
    """What is said of each space, by name."""
    answer = live.get(f"{COMFORT}?{MONDAY}{query}", token)
    assert answer.status_code == 200, answer.text
    return {space["name"]: space for space in answer.json()["spaces"]}


def test_a_working_day_is_summed_up(live: Live, token: str, spaces: dict[str, int]):
    """θrm is 12 °C, two fifths of the way from winter to summer: category I is 22 to 24 °C.

    Two thermometers: 23 °C on average until noon, 27 °C after. Adaptively 0.33·12 + 18.8 = 22.76: up to 26.76
    in category III.
    """
    found = ask(live, token)
    assert list(found) == ["Archive", "Meeting room", "Office"]  # the roof has no comfort
    room = found["Meeting room"]
    assert (room["space"], room["category"], room["hours"]) == (spaces["Meeting room"], "I", 10)
    assert room["occupied_by"] == "schedule"
    temperature = room["temperature"]
    assert temperature["by_category"] == {"I": 4, "II": 0, "III": 0, "IV": 0, "beyond": 6}
    assert (temperature["below"], temperature["above"], temperature["out_of_band"]) == (0, 6, 0.6)
    assert (temperature["mean"], temperature["lowest"], temperature["highest"]) == (25.4, 23, 27)
    assert room["adaptive"]["by_category"] == {"I": 4, "II": 0, "III": 0, "IV": 0, "beyond": 6}
    # 0.31·12 + 17.8 = 21.52: up to 24.02 and 25.02.
    assert (room["adaptive_ashrae"]["acceptable_90"], room["adaptive_ashrae"]["above"]) == (4, 6)
    assert room["pmv"]["hours"] == 10
    # Until noon 900 ppm, of which an hour is missing; after it 1700: 480 and 1280 above outdoor air.
    assert room["co2"]["by_category"] == {"I": 3, "II": 0, "III": 6, "IV": 0, "beyond": 0}
    assert (room["co2"]["above"], room["co2"]["not_measured"]) == (6, 1)
    over = room["overheating"]
    assert (over["hours"], over["above_26"], over["above_28"], over["tm52"]) == (10, 6, 0, None)
    assumed = {one["what"]: (one["value"], one["unit"], one["hours"]) for one in room["assumed"]}
    assert assumed == {
        "humidity": ("50", "%", 10),
        "radiant_temperature": ("air temperature", None, 10),
        "air_speed": ("0.1", "m/s", 10),
        "metabolic_rate": ("1.2", "met", 10),
        "clothing": ("0.5 to 1.0", "clo", 10),
        "outdoor_co2": ("420", "ppm", 10),
    }


def test_odd_sensors_are_told_of(live: Live, token: str, spaces: dict[str, int]):
    found = ask(live, token)
    office, archive = found["Office"], found["Archive"]
    assert office["temperature"] is office["pmv"] is office["overheating"] is None
    assert office["co2"]["by_category"]["I"] == 10
    (lost,) = (one for one in office["assumed"] if one["what"] == "unit")
    assert lost["detail"].startswith("office-co2-sensor/lost is in lux")
    assert [one["value"] for one in office["assumed"] if one["what"] == "category"] == ["II"]
    assert (archive["temperature"]["hours"], archive["temperature"]["not_measured"]) == (0, 10)
    assert archive["temperature"]["out_of_band"] is archive["temperature"]["mean"] is None
    assert archive["co2"] is None
    completeness = archive[
        "completeness"
    ]  # the roof's sensor tells the archive's weather, each half hour's half
    assert completeness["present"] < completeness["expected"]


def test_who_was_there_says_which_hours_count(live: Live, token: str, spaces: dict[str, int]):
    found = ask(live, token, "&occupied=measured")
    room, office, archive = found["Meeting room"], found["Office"], found["Archive"]
    assert (room["occupied_by"], room["hours"]) == ("measured", 3)
    assert (archive["occupied_by"], archive["hours"]) == ("measured", 3), "from 20 to 23 o'clock"
    assert not [one for one in archive["assumed"] if one["what"] == "occupied_hours"]
    assert room["temperature"]["by_category"]["beyond"] == 2
    assert (office["occupied_by"], office["hours"]) == ("schedule", 10)
    assert [one["hours"] for one in office["assumed"] if one["what"] == "occupied_hours"] == [10]


def test_hours_that_count_are_those_asked_for(live: Live, token: str, spaces: dict[str, int]):
    assert ask(live, token, "&hours=0-24&days=1")["Meeting room"]["hours"] == 24
    assert ask(live, token, "&hours=0-24&days=23456")["Meeting room"]["hours"] == 0
    weekend = "from=2026-03-28T00:00:00%2B01:00&to=2026-03-31T00:00:00%2B02:00&hours=0-24&days=1234567"
    answer = live.get(f"{COMFORT}?{weekend}", token).json()
    assert {space["hours"] for space in answer["spaces"]} == {71}
    assert answer["occupied"] == {
        "by": "schedule",
        "from_hour": 0,
        "until_hour": 24,
        "days": list(range(1, 8)),
    }
    assert answer["complete_until"] == "2026-03-30T22:00:00Z"
    wrong = live.get(f"{COMFORT}?{MONDAY}&hours=18-8", token)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "hours")


def test_one_space_is_told_hour_by_hour(live: Live, token: str, spaces: dict[str, int]):
    answer = live.get(f"{COMFORT}/hours?{MONDAY}&space={spaces['Meeting room']}", token).json()
    assert (answer["name"], answer["category"], answer["time_zone"]) == (
        "Meeting room",
        "I",
        "Europe/Brussels",
    )
    assert len(answer["hours"]) == 24
    assert [hour["time"] for hour in answer["hours"] if hour["occupied"]] == [
        f"2026-03-30T{hour:02}:00:00Z" for hour in range(6, 16)
    ]
    morning, afternoon = answer["hours"][8], answer["hours"][15]
    assert morning["co2"] is morning["co2_category"] is morning["humidity"] is None
    assert (morning["temperature"], morning["temperature_category"]) == (23, "I")
    assert (morning["outdoor_running_mean"], morning["clothing"]) == (12, 0.8)
    assert (morning["lower"], morning["upper"]) == (22, 24)
    assert (morning["adaptive_lower"], morning["adaptive_upper"]) == (19.76, 24.76)
    assert (afternoon["temperature"], afternoon["temperature_category"]) == (27, "beyond")
    assert (afternoon["co2"], afternoon["co2_category"], afternoon["adaptive_category"]) == (
        1700,
        "III",
        "beyond",
    )
    # What they are exactly is for the standard's tables to tell.
    assert abs(morning["pmv"]) < 0.5 < afternoon["pmv"]
    assert morning["ppd"] < 10 < afternoon["ppd"]


def test_a_year_of_hours_is_the_most(live: Live, token: str, spaces: dict[str, int]):
    long = "from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z"
    answer = live.get(f"{COMFORT}/hours?{long}&space={spaces['Office']}", token)
    assert (answer.status_code, answer.json()["detail"]) == (422, "ask for a year of hours at most")
    assert live.get(f"{COMFORT}/hours?{MONDAY}", token).status_code == 422
    early = "from=0001-01-01T00:00:00Z&to=0001-06-01T00:00:00Z"
    assert live.get(f"{COMFORT}/hours?{early}&space={spaces['Office']}", token).json()["hours"] == []


def test_a_grant_for_one_space_sees_that_one(live: Live, spaces: dict[str, int]):
    """And not the weather that a sensor elsewhere measures."""
    with live.deployment.databases.core() as core:
        program = create_service_client(core, live.deployment.acme, "placed", "readings:read")
        places = Places(spaces=frozenset({spaces["Meeting room"]}))
        core.get_one(Client, program[0]).places = places.told
    placed = _token(live, program)
    found = ask(live, placed)
    assert list(found) == ["Meeting room"]
    assert found["Meeting room"]["adaptive"] is None
    assert "outdoor_temperature" in {one["what"] for one in found["Meeting room"]["assumed"]}
    assert ask(live, placed, f"&space={spaces['Office']}") == {}
    answer = live.get(f"{COMFORT}/hours?{MONDAY}&space={spaces['Office']}", placed).json()
    assert (answer["name"], answer["hours"]) == (None, [])


def test_another_tenant_is_not_there(live: Live, spaces: dict[str, int]):
    with live.deployment.databases.core() as core:
        program = create_service_client(core, live.deployment.globex, "other", "readings:read devices:read")
    other = _token(live, program)
    for path in (COMFORT, f"{COMFORT}/hours"):
        answer = live.get(f"{path}?{MONDAY}&space={spaces['Office']}", other)
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no tenant 'acme'")
    own = COMFORT.replace("acme", "globex")
    assert live.get(f"{own}?{MONDAY}&space={spaces['Office']}", other).json()["spaces"] == []


def test_a_tenant_that_asks_much_waits_for_itself(live: Live, spaces: dict[str, int], monkeypatch):
    """However many questions a tenant asks: two are computed at a time, and a neighbour's is answered."""
    computing, go_on = Semaphore(0), Event()

    def slowly(rooms, read, counted):
        if rooms:
            computing.release()
            assert go_on.wait(20)
        return comfort_of(rooms, read, counted)

    monkeypatch.setattr("insula_platform.analytics.comfort.routes.comfort_of", slowly)
    mine = _token(live, live.service)
    with live.deployment.databases.core() as core:
        neighbour = create_service_client(core, live.deployment.globex, "neighbour", "readings:read")
    with ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(live.get, f"{COMFORT}?{MONDAY}", mine) for _ in range(6)]
        try:
            assert computing.acquire(timeout=10)
            assert computing.acquire(timeout=10)
            theirs = live.get(f"{COMFORT.replace('acme', 'globex')}?{MONDAY}", _token(live, neighbour))
            assert theirs.status_code == 200, theirs.text
            assert not computing.acquire(timeout=0.5), "a third one is computed"
        finally:
            go_on.set()
        assert [each.result().status_code for each in asked] == [200] * 6


def test_who_waits_too_long_for_a_turn_is_told_so(
    live: Live, token: str, spaces: dict[str, int], monkeypatch
):
    computing, go_on = Semaphore(0), Event()

    def slowly(rooms, read, counted):
        computing.release()
        assert go_on.wait(20)
        return comfort_of(rooms, read, counted)

    monkeypatch.setattr("insula_platform.analytics.comfort.routes.comfort_of", slowly)
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    with ThreadPoolExecutor(2) as threads:
        asked = []
        try:
            for _ in range(turns.AT_ONCE_OF_A_TENANT):
                asked.append(threads.submit(live.get, f"{COMFORT}?{MONDAY}", token))
                assert computing.acquire(timeout=10)
            refused = live.get(f"{COMFORT}?{MONDAY}", token)
        finally:
            go_on.set()
        assert [each.result().status_code for each in asked] == [200, 200]
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-questions")
    assert refused.headers["Retry-After"] == "5"
    assert live.get(f"{COMFORT}?{MONDAY}", token).status_code == 200, "the turns were given back"
