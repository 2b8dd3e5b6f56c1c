"""Devices, points, latest values and readings over HTTP, for one's own tenant and no other."""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.spaces import ensure_space
from insula_tenants.telemetry.models import Reading
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import Live

START = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
MINUTES = 300
ACME = "/api/v1/tenants/acme"
GLOBEX = "/api/v1/tenants/globex"


def value_at(tenant: str, point: str, minute: int) -> float:
    """What the tests store: different for each tenant and point, and not a round number."""
    return {"acme": 20, "globex": 500}[tenant] + len(point) + (minute % 37) / 7


@pytest.fixture(scope="module")
def stored(deployment: Deployment) -> dict[str, list[int]]:
    """Ids of the points of each tenant: two devices with two points, a reading a minute."""
    return {context.slug: _store(deployment, context) for context in (deployment.acme, deployment.globex)}


def _store(deployment: Deployment, context: TenantContext) -> list[int]:
    with deployment.databases.tenant(context) as session:
        space = ensure_space(
            session,
            site="Brussels",
            building="Forum",
            time_zone="Europe/Brussels",
            storey="Ground floor",
            level=0,
            name=f"Room of {context.slug}",
        )
        for slug in ("room-a", "room-b"):
            create_device(
                session,
                slug,
                name=slug.title(),
                space_id=space if slug == "room-a" else None,
                gateway="room-a" if slug == "room-b" else None,
                points=[
                    NewPoint("temperature", "Zone_Air_Temperature_Sensor", "degC"),
                    NewPoint("door", states=("closed", "open")),
                ],
            )
        points = list_points(session)
    batch = TenantBatch(context)
    for point in points:
        for minute in range(MINUTES):
            at = START + timedelta(minutes=minute)
            batch.readings[point.id, round(at.timestamp() * 1e6)] = value_at(context.slug, point.name, minute)
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    return [point.id for point in points]


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    client_id, secret = live.service
    answer = live.token_request((client_id, secret), grant_type="client_credentials")
    return str(answer.json()["access_token"])


def pages(live: Live, token: str, path: str) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = live.get(f"{path}{'&' if '?' in path else '?'}{cursor}", token)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"cursor={page['next_cursor']}"


def readings_path(points: list[int], **more: str) -> str:
    """A question for the whole time."""
    query = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"} | more
    return f"{ACME}/readings?" + "&".join(
        [f"point={point}" for point in points] + [f"{name}={value}" for name, value in query.items()]
    )


def test_spaces_and_devices_are_listed(live: Live, token: str, stored: dict[str, list[int]]):
    (space,) = live.get(f"{ACME}/spaces", token).json()["items"]
    assert space["name"] == "Room of acme"
    assert space["time_zone"] == "Europe/Brussels"
    devices = pages(live, token, f"{ACME}/devices?limit=1")
    assert [device["id"] for device in devices] == ["room-a", "room-b"]
    assert [device["space_id"] for device in devices] == [space["id"], None]
    assert [device["gateway"] for device in devices] == [None, "room-a"]
    last = START + timedelta(minutes=MINUTES - 1)
    assert {datetime.fromisoformat(device["last_seen"]) for device in devices} == {last}
    assert [each["id"] for each in pages(live, token, f"{ACME}/devices?space={space['id']}")] == ["room-a"]


def test_points_tell_what_is_known_of_them(live: Live, token: str, stored: dict[str, list[int]]):
    points = pages(live, token, f"{ACME}/points?limit=3")
    assert [point["id"] for point in points] == stored["acme"]
    assert points[0] | {"id": 0} == {
        "id": 0,
        "device": "room-a",
        "name": "temperature",
        "brick_class": "Zone_Air_Temperature_Sensor",
        "unit": "degC",
        "kind": "gauge",
        "states": None,
    }
    assert {point["device"] for point in pages(live, token, f"{ACME}/points?device=room-b")} == {"room-b"}


def test_latest_is_the_newest_value_of_each_point(live: Live, token: str, stored: dict[str, list[int]]):
    latest = pages(live, token, f"{ACME}/latest?limit=3")
    assert [item["point"] for item in latest] == stored["acme"]
    assert [item["value"] for item in latest] == [
        value_at("acme", item["name"], MINUTES - 1) for item in latest
    ]
    assert {item["device"] for item in pages(live, token, f"{ACME}/latest?device=room-a")} == {"room-a"}


def test_raw_readings_come_back_as_they_were_stored(live: Live, token: str, stored: dict[str, list[int]]):
    items = pages(live, token, readings_path(stored["acme"][:2], limit="97"))
    expected = [
        (point, START + timedelta(minutes=minute), value_at("acme", name, minute))
        for point, name in zip(stored["acme"], ("temperature", "door"), strict=False)
        for minute in range(MINUTES)
    ]
    assert [
        (item["point"], datetime.fromisoformat(item["time"]), item["value"]) for item in items
    ] == expected


def test_an_interval_includes_its_start_and_not_its_end(live: Live, token: str, stored: dict[str, list[int]]):
    path = readings_path(
        stored["acme"][:1], **{"from": "2026-03-28T22:31:00Z", "to": "2026-03-28T23:33:00%2B01:00"}
    )
    times = [item["time"] for item in pages(live, token, path)]
    assert times == ["2026-03-28T22:31:00Z", "2026-03-28T22:32:00Z"]


@pytest.mark.parametrize(
    ("aggregate", "of"),
    [
        ("mean", statistics.fmean),
        ("min", min),
        ("max", max),
        ("sum", sum),
        ("count", len),
        ("first", lambda values: values[0]),
        ("last", lambda values: values[-1]),
    ],
)
def test_buckets_hold_what_a_hand_would_compute(
    live: Live, token: str, stored: dict[str, list[int]], aggregate: str, of: Any
):
    path = readings_path(
        stored["acme"][:2], bucket="1d", aggregate=aggregate, time_zone="Europe/Brussels", limit="1"
    )
    expected: dict[tuple[int, str], list[float]] = defaultdict(list)
    for point, name in zip(stored["acme"], ("temperature", "door"), strict=False):
        for minute in range(MINUTES):
            # Local midnight of 29 March is 23:00 UTC of the 28th: half an hour after the start.
            day = "2026-03-27T23:00:00Z" if minute < 30 else "2026-03-28T23:00:00Z"
            expected[point, day].append(value_at("acme", name, minute))
    items = pages(live, token, path)
    assert [(item["point"], item["time"]) for item in items] == list(expected)
    assert [item["value"] for item in items] == pytest.approx([of(values) for values in expected.values()])


def test_points_of_a_neighbour_give_nothing_like_points_that_do_not_exist(
    live: Live, token: str, stored: dict[str, list[int]], deployment: Deployment
):
    """Point ids are small numbers in each tenant: a foreign id is an id of one's own, or nobody's."""
    with deployment.databases.tenant(deployment.globex) as session:
        create_device(session, "room-z", name="Z", points=[NewPoint(f"p{n}") for n in range(50)])
        foreign = max(point.id for point in list_points(session))
    batch = TenantBatch(deployment.globex, {(foreign, round(START.timestamp() * 1e6)): 1.0})
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    with deployment.databases.tenant(deployment.globex) as session:
        assert session.scalar(select(Reading.value).where(Reading.point_id == foreign)) == 1.0
    nothing = pages(live, token, readings_path([foreign]))
    assert nothing == pages(live, token, readings_path([2_000_000_000])) == []


@pytest.mark.parametrize(
    "leaf",
    [
        "spaces",
        "devices",
        "points",
        "latest",
        "readings?point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
    ],
)
def test_each_list_is_for_its_own_tenant_alone(
    live: Live, token: str, stored: dict[str, list[int]], leaf: str
):
    assert live.get(f"{ACME}/{leaf}", token).status_code == 200
    denied = live.get(f"{GLOBEX}/{leaf}", token)
    missing = live.get(f"/api/v1/tenants/no-such-tenant/{leaf}", token)
    assert denied.status_code == missing.status_code == 404
    assert denied.text.replace("globex", "no-such-tenant") == missing.text
    assert live.get(f"{ACME}/{leaf}").status_code == 401


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "query.point"),
        ("point=0&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "query.point.0"),
        ("point=1&from=2026-01-01T00:00:00&to=2026-02-01T00:00:00Z", "query.from"),
        ("point=1&from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=5x", "bucket"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=0m", "bucket"),
        ("point=1&from=2016-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&bucket=1s", "bucket"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=99999y", "bucket"),
        (
            "point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=1h&aggregate=median",
            "query.aggregate",
        ),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=1h&time_zone=Mars", "time_zone"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&cursor=%21", "cursor"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&cursor=WyJhIiwxXQ", "cursor"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&limit=10001", "query.limit"),
        ("point=1&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z&limit=1", None),
    ],
)
def test_bad_input_is_answered_with_the_field_and_never_with_a_fault(
    live: Live, token: str, stored: dict[str, list[int]], query: str, field: str | None
):
    answer = live.get(f"{ACME}/readings?{query}", token)
    if field is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
