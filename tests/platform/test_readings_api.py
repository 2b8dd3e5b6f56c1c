"""Devices, points, latest values and readings over HTTP, for one's own tenant and no other."""

from __future__ import annotations

import csv
import io
import statistics
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from insula_platform.readings import formats, routes
from insula_platform.readings.schemas import ReadingsPage
from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.errors import InvalidInput
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
        "rollover_at": None,
        "minimum": None,
        "maximum": None,
        "expected_interval": None,
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
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&aggregate=consumption", "bucket"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&aggregate=time_weighted_mean", "bucket"),
        (
            "point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&bucket=1h&aggregate=consumption",
            "aggregate",
        ),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&cursor=%21", "cursor"),
        # A position with a time of no zone, and one at the end of time.
        (
            "point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&cursor=WzEsIjIwMjYtMDEtMDFUMDA6MDA6MDAiXQ",
            "cursor",
        ),
        (
            "point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"
            "&cursor=WzEsIjk5OTktMTItMzFUMjM6NTk6NTkuOTk5OTk5LTE0OjAwIl0",
            None,
        ),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&cursor=WyJhIiwxXQ", "cursor"),
        ("point=1&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&limit=10001", "query.limit"),
        ("point=1&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z&limit=1", None),
        ("point=1&from=0001-01-01T00:00:00%2B14:00&to=9999-12-31T23:59:59-14:00&bucket=10y", None),
        ("point=1&from=0001-01-01T00:00:00%2B14:00&to=0001-01-01T00:00:00%2B13:00&bucket=1h", None),
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


def test_a_page_says_until_when_it_is_complete_and_what_served_it(
    live: Live, token: str, stored: dict[str, list[int]]
):
    past = live.get(readings_path(stored["acme"][:1], limit="1"), token).json()
    assert ReadingsPage.model_validate(past, strict=False).model_dump(mode="json") == past
    assert (past["complete_until"], past["served_from"]) == ("2026-04-01T00:00:00Z", ["raw"])
    before = datetime.now(UTC)
    running = live.get(readings_path(stored["acme"][:1], to="2999-01-01T00:00:00Z"), token).json()
    assert before <= datetime.fromisoformat(running["complete_until"]) <= datetime.now(UTC)


def test_means_over_time_and_consumption_come_through_the_api(
    live: Live, token: str, stored: dict[str, list[int]], deployment: Deployment
):
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(
            session,
            "meter",
            name="Meter",
            points=[NewPoint("energy_total", unit="kWh", kind="counter", rollover_at=1000.0)],
        )
        (meter,) = list_points(session, device="meter")
    noon = datetime(2026, 3, 20, 12, tzinfo=UTC)
    values = {0: 990.0, 30: 5.0, 90: 35.0}
    batch = TenantBatch(
        deployment.acme,
        {
            (meter.id, round((noon + timedelta(minutes=minute)).timestamp() * 1e6)): value
            for minute, value in values.items()
        },
    )
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    (point,) = pages(live, token, f"{ACME}/points?device=meter")
    assert (point["kind"], point["rollover_at"]) == ("counter", 1000.0)

    def ask(aggregate: str) -> list[tuple[str, float]]:
        items = pages(
            live,
            token,
            readings_path([meter.id], bucket="1h", aggregate=aggregate, to="2026-03-20T14:00:00Z"),
        )
        return [(item["time"], item["value"]) for item in items]

    assert ask("consumption") == [("2026-03-20T12:00:00Z", 30.0), ("2026-03-20T13:00:00Z", 15.0)]
    assert ask("time_weighted_mean") == [("2026-03-20T12:00:00Z", 497.5), ("2026-03-20T13:00:00Z", 20.0)]


def test_a_meter_rolls_over_somewhere_sensible_or_is_refused(deployment: Deployment):
    for wrong in (
        NewPoint("a", kind="gauge", rollover_at=10.0),
        NewPoint("a", kind="counter", rollover_at=0.0),
        NewPoint("a", kind="counter", rollover_at=float("nan")),
        NewPoint("a", kind="odometer"),
    ):
        with pytest.raises(InvalidInput), deployment.databases.tenant(deployment.acme) as session:
            create_device(session, "wrong", name="Wrong", points=[wrong])


Table = list[tuple[int, datetime, float]]


def from_csv(content: bytes) -> Table:
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return [(int(row["point"]), datetime.fromisoformat(row["time"]), float(row["value"])) for row in rows]


def from_arrow(content: bytes) -> Table:
    return _table(pa.ipc.open_stream(content).read_all())


def from_parquet(content: bytes) -> Table:
    return _table(pq.read_table(io.BytesIO(content)))


def _table(table: pa.Table) -> Table:
    assert table.schema.names == ["point", "time", "value"]
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize(
    ("media_type", "read"),
    [
        ("text/csv", from_csv),
        ("application/vnd.apache.arrow.stream", from_arrow),
        ("application/vnd.apache.parquet", from_parquet),
    ],
)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"bucket": "1m", "aggregate": "time_weighted_mean", "from": "2026-03-28T23:00:00Z"},
        {"from": "2026-03-31T00:00:00Z"},
    ],
)
def test_every_format_holds_what_the_pages_of_json_do(
    live: Live,
    token: str,
    stored: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
    media_type: str,
    read: Callable[[bytes], Table],
    more: dict[str, str],
):
    monkeypatch.setattr(routes, "PAGE_ROWS", 113)
    monkeypatch.setattr(formats, "ROW_GROUP_ROWS", 300)
    path = readings_path(
        stored["acme"], **({"to": "2026-03-29T05:00:00Z"} | more if "bucket" in more else more)
    )
    answer = live.get(path, token, Accept=f"{media_type};q=0.9, application/json;q=0.1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == media_type
    expected = [
        (item["point"], datetime.fromisoformat(item["time"]), item["value"])
        for item in pages(live, token, path)
    ]
    assert read(answer.content) == expected
    page = live.get(path, token).json()
    assert answer.headers["insula-served-from"] == ", ".join(page["served_from"])
    assert answer.headers["insula-complete-until"] == page["complete_until"]
    assert answer.headers["vary"] == live.get(path, token).headers["vary"] == "Accept"


def test_formats_that_are_not_there_and_pages_of_files_are_refused(
    live: Live, token: str, stored: dict[str, list[int]]
):
    path = readings_path(stored["acme"][:1])
    for accept in ("application/xml", "text/csv;q=0", "image/*"):
        answer = live.get(path, token, Accept=accept)
        assert (answer.status_code, answer.json()["type"]) == (406, "/problems/not-acceptable")
    for accept in (
        "*/*",
        "application/*",
        "text/html, */*;q=0.1",
        "application/json, text/csv",
        "text/csv;q=x, */*",
    ):
        assert live.get(path, token, Accept=accept).headers["content-type"] == "application/json", accept
    assert live.get(path, token, Accept="text/*").headers["content-type"].startswith("text/csv")
    for more in ("limit=5", "cursor=WzEsIjIwMjYtMDEtMDFUMDA6MDA6MDArMDA6MDAiXQ"):
        answer = live.get(f"{path}&{more}", token, Accept="text/csv")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == more.partition("=")[0]
    refused = live.get(f"{path}&bucket=5x", token, Accept="text/csv")
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
