"""The quality of data over HTTP: points with one fault each, which the answer must find and no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.spaces import Places, ensure_space
from tests.conftest import Deployment
from tests.platform.conftest import Live
from tests.tenants.reading import House

ACME = "/api/v1/tenants/acme/analytics/data-quality"
START, DAYS = datetime(2026, 3, 2, tzinfo=UTC), 4
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PERIOD = "from=2026-03-02T00:00:00Z&to=2026-03-06T00:00:00Z"

NO_TIMES = (
    "from=0001-01-01T00:00:00Z&to=0002-01-01T00:00:00Z",
    "from=9998-01-02T00:00:00Z&to=9999-12-31T23:00:00Z",
)
TEMPERATURE = NewPoint("temperature", "Zone_Air_Temperature_Sensor", "degC", minimum=-40.0, maximum=85.0)
ROOMS = {
    "hall": ("good", "gap"),
    "lab": ("stuck", "broken", "ahead"),
    "store": ("silent", "door"),
}


def readings(name: str) -> Iterator[tuple[datetime, float]]:
    """One a minute, but for the door's; of each point what its name says is wrong."""
    if name == "silent":
        return
    if name == "door":
        for hour, value in ((8, 1.0), (8.1, 0.0), (17.7, 1.0), (17.75, 0.0), (57, 1.0), (57.2, 0.0)):
            yield START + timedelta(hours=hour), value
        return
    for minute in range(DAYS * 1440):
        if name == "gap" and 1440 + 600 <= minute < 1440 + 900:
            continue
        value = 20 + minute % 13 / 10
        if name == "stuck" and minute >= 1000:
            value = 19.5
        if name == "broken" and minute in {70, 80, 3000}:
            value = -127.0
        yield START + minute * MINUTE, value


@pytest.fixture(scope="module")
def points(deployment: Deployment) -> dict[str, int]:
    house = House(deployment, deployment.acme)
    with deployment.databases.tenant(deployment.acme) as session:
        for room, names in ROOMS.items():
            space = ensure_space(
                session,
                site="Mons",
                building="Office",
                time_zone="Europe/Brussels",
                storey="Ground floor",
                level=0,
                name=room,
            )
            for name in names:
                point = TEMPERATURE
                if name == "door":
                    point = NewPoint("door", "Contact_Sensor", states=("closed", "open"))
                create_device(session, f"{name}-device", name=name, space_id=space, points=[point])
        ids = {point.device.removesuffix("-device"): point.id for point in list_points(session)}
    with house.administrator() as connection:
        connection.execute("UPDATE devices SET expected_interval = 60, created_at = '2025-01-01'")
        connection.execute("UPDATE points SET created_at = '2025-01-01'")
        connection.execute(
            "INSERT INTO device_health (device_id, clock_offset, clock_offset_at)"
            " SELECT id, -4000, '2026-03-05T12:00Z' FROM devices WHERE slug = 'ahead-device'"
        )
    house.store([(ids[name], time, value) for name in ids for time, value in readings(name)])
    house.roll_up()
    house.reach(START + DAYS * DAY)
    return ids


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    client_id, secret = live.service
    answer = live.token_request((client_id, secret), grant_type="client_credentials")
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def answer(live: Live, token: str, points: dict[str, int]) -> dict[str, Any]:
    found = live.get(f"{ACME}?{PERIOD}", token)
    assert found.status_code == 200, found.text
    return found.json()


def named(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["device"].removesuffix("-device"): each for each in answer["items"]}


def kinds(point: dict[str, Any]) -> list[str]:
    return [problem["kind"] for problem in point["problems"]]


def test_each_fault_is_found_and_the_worst_come_first(answer: dict[str, Any]):
    assert [(each["device"], kinds(each)) for each in answer["items"]] == [
        ("silent-device", ["silent"]),
        ("stuck-device", ["stuck"]),
        ("broken-device", ["out_of_range"]),
        ("ahead-device", ["clock_ahead"]),
        ("gap-device", ["incomplete", "gap"]),
        ("good-device", []),
        ("door-device", []),
    ]


def test_completeness_is_counted_by_day_point_and_place(answer: dict[str, Any]):
    found = named(answer)
    assert found["good"]["completeness"] == {
        "expected": 5760,
        "present": 5760,
        "share": 1,
        "estimated": False,
    }
    assert found["good"]["days"] == [1, 1, 1, 1]
    assert found["gap"]["days"] == [1, 0.7917, 1, 1]
    assert found["silent"]["days"] == [0, 0, 0, 0]
    assert (found["door"]["interval"], found["door"]["interval_source"]) == (None, "events")
    assert (found["door"]["days"], found["door"]["readings"]) == ([None] * 4, 6)
    assert answer["days"][1] == {
        "day": "2026-03-03",
        "expected": 6 * 1440,
        "present": 5 * 1440 - 300,
        "share": 0.7986,
    }
    assert answer["completeness"]["present"] == 5 * 5760 - 300
    assert (answer["points"], answer["with_problems"]) == (7, 5)


def test_places_are_rolled_up(answer: dict[str, Any]):
    places = {(each["kind"], each["name"]): each for each in answer["places"]}
    assert [(each["kind"], each["name"]) for each in answer["places"]] == [
        ("tenant", None),
        ("building", "Office"),
        ("storey", "Ground floor"),
        ("space", "store"),
        ("space", "lab"),
        ("space", "hall"),
    ]
    hall = places["space", "hall"]
    assert (hall["points"], hall["with_problems"]) == (2, 1)
    assert hall["completeness"]["present"] == 2 * 5760 - 300
    assert hall["score"] == pytest.approx(300 / 5760 / 2)
    assert places["building", "Office"]["points"] == places["tenant", None]["points"] == 7


def test_a_gap_has_its_ends_and_what_is_stuck_its_beginning(answer: dict[str, Any]):
    found = named(answer)
    assert found["gap"]["gaps"] == {
        "count": 1,
        "seconds": 301 * 60,
        "longest": 301 * 60,
        "items": [{"from": "2026-03-03T09:59:00Z", "to": "2026-03-03T15:00:00Z", "seconds": 301 * 60}],
    }
    assert found["gap"]["resolution"] == "1h"
    (stuck,) = found["stuck"]["stuck"]
    assert (stuck["value"], stuck["to"]) == (19.5, "2026-03-05T23:59:00Z")
    assert stuck["from"] == "2026-03-03T00:00:00Z", "the first day that is flat all through"
    broken = found["broken"]["out_of_range"]
    assert (broken["lowest"], broken["highest"], broken["days"], broken["readings"]) == (-127, 21.2, 2, None)
    assert (found["ahead"]["clock_offset"], found["ahead"]["clock_offset_at"]) == (
        -4000,
        "2026-03-05T12:00:00Z",
    )


def test_one_point_is_looked_at_reading_by_reading(live: Live, token: str, points: dict[str, int]):
    broken = live.get(f"{ACME}/points/{points['broken']}?{PERIOD}", token).json()
    assert broken["point"]["resolution"] == "raw"
    assert broken["point"]["out_of_range"]["readings"] == 3
    assert "3 readings on 2 days" in broken["point"]["problems"][0]["detail"]
    (stuck,) = live.get(f"{ACME}/points/{points['stuck']}?{PERIOD}", token).json()["point"]["stuck"]
    assert stuck["from"] == "2026-03-02T16:40:00Z"
    assert [each["day"] for each in broken["days"]] == [f"2026-03-0{day}" for day in (2, 3, 4, 5)]


def test_what_retention_dropped_is_looked_at_by_quarters(
    live: Live, token: str, deployment: Deployment, points: dict[str, int]
):
    house = House(deployment, deployment.acme)
    house.reach(START + DAYS * DAY, raw_from=START + 3 * DAY)
    found = live.get(f"{ACME}/points/{points['gap']}?{PERIOD}", token).json()["point"]
    assert (found["resolution"], found["gaps"]["longest"]) == ("15m", 301 * 60)
    ragged = PERIOD.replace("2026-03-02T00:00:00Z", "2026-03-02T00:07:30Z")
    answered = live.get(f"{ACME}?{ragged}", token)
    assert answered.status_code == 200, "from the next quarter on"
    house.reach(START + DAYS * DAY)


def test_points_come_in_pages(live: Live, token: str, answer: dict[str, Any]):
    items: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = live.get(f"{ACME}?{PERIOD}&limit=3{cursor}", token).json()
        items += page["items"]
        assert page["points"] == 7
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    assert [each["point"] for each in items] == [each["point"] for each in answer["items"]]
    assert live.get(f"{ACME}?{PERIOD}&cursor=nonsense", token).status_code == 422


def test_a_neighbour_and_a_grant_for_one_space_see_no_more(
    live: Live, deployment: Deployment, token: str, points: dict[str, int], answer: dict[str, Any]
):
    assert live.get(f"/api/v1/tenants/globex/analytics/data-quality?{PERIOD}", token).status_code == 404
    assert live.get(f"{ACME}/points/{2**30}?{PERIOD}", token).status_code == 404
    for no_time in NO_TIMES:
        for path in ("", f"/points/{points['good']}"):
            none = live.get(f"{ACME}{path}?{no_time}", token)
            assert (none.status_code, none.json()["days"]) == (200, [])
    lab = next(each["id"] for each in answer["places"] if each["name"] == "lab")
    with deployment.databases.core() as core:
        client, secret = create_service_client(core, deployment.acme, "lab", "readings:read")
        core.get_one(Client, client).places = Places(spaces=frozenset({lab})).told
    narrow = live.token_request((client, secret), grant_type="client_credentials").json()["access_token"]
    seen = live.get(f"{ACME}?{PERIOD}", narrow).json()
    assert set(named(seen)) == set(ROOMS["lab"])
    assert {each["name"] for each in seen["places"] if each["kind"] == "space"} == {"lab"}
    assert live.get(f"{ACME}/points/{points['good']}?{PERIOD}", narrow).status_code == 404
    assert live.get(f"{ACME}/points/{points['stuck']}?{PERIOD}", narrow).status_code == 200
    with deployment.databases.core() as core:
        client, secret = create_service_client(core, deployment.acme, "devices only", "devices:read")
    without = live.token_request((client, secret), grant_type="client_credentials").json()["access_token"]
    assert live.get(f"{ACME}?{PERIOD}", without).status_code == 403
