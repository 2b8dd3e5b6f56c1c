"""Readings over HTTP: every format, every bad row, and what cannot be read at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from insula_platform.backfill import body as body_module
from insula_platform.backfill import service as service_module
from insula_tenants.audit import SYSTEM
from insula_tenants.devices import NewPoint, Point, create_device, list_points
from insula_tenants.quotas import put_quotas
from insula_tenants.telemetry.models import DirtyRange, Latest
from tests.conftest import Deployment
from tests.platform.backfill.bodies import (
    ARROW,
    AT,
    CSV,
    FORMATS,
    JSON,
    NDJSON,
    Row,
    as_arrow,
    as_csv,
    as_lines,
    rows_of,
    stored,
)
from tests.platform.conftest import Live
from tests.servers.mqtt import unique
from tests.waiting import eventually


@pytest.mark.parametrize("media_type", FORMATS)
def test_each_format_stores_the_same(deployment: Deployment, send, device: str, media_type: str):
    rows = rows_of(device, 20)
    answer = send(FORMATS[media_type](rows), media_type)
    assert answer.status_code == 200, answer.text
    expected = {"rows": 20, "stored": 20, "rejected": 0, "points_made": 2, "dry_run": False}
    assert answer.json() == expected | {"problems": [], "problems_not_shown": 0}
    wanted = sorted((row["name"], datetime.fromisoformat(row["time"]), row["value"]) for row in rows)
    assert stored(deployment, device) == wanted
    again = send(FORMATS[media_type](rows), media_type)
    assert again.json() == answer.json() | {"points_made": 0}
    assert stored(deployment, device) == wanted


def test_two_hundred_thousand_rows_of_csv_and_of_arrow_read_back_equal(
    deployment: Deployment, live: Live, send, token: str
):
    """By CSV and by Arrow into two devices, and back by SQL: every time and every bit of every value."""
    count = 200_000
    devices = [unique("many") for _ in range(2)]
    with deployment.databases.tenant(deployment.acme) as session:
        for slug in devices:
            create_device(session, slug, name=slug)
    by_csv, by_arrow = (
        [
            {
                "device": slug,
                "name": f"p{n % 50}",
                "time": (AT + timedelta(seconds=n // 50 * 60, microseconds=n)).isoformat(),
                "value": math.sin(n) * 10.0 ** (n % 30 - 15),
            }
            for n in range(count)
        ]
        for slug in devices
    )
    for answer in (send(as_csv(by_csv)), send(as_arrow(by_arrow), ARROW)):
        assert (answer.status_code, answer.json()["stored"], answer.json()["rejected"]) == (200, count, 0)
    first, second = (stored(deployment, slug) for slug in devices)
    assert len(first) == count
    assert first == second
    assert first == sorted((row["name"], datetime.fromisoformat(row["time"]), row["value"]) for row in by_csv)
    with deployment.databases.tenant(deployment.acme) as session:
        query = (
            select(func.count())
            .select_from(Latest)
            .join(Point, Point.id == Latest.point_id)
            .where(Latest.time > AT + timedelta(minutes=count // 50 - 1))
        )
        assert session.scalar(query) == 100, "the newest of each point is its latest"
        marked = session.execute(select(func.min(DirtyRange.starting), func.max(DirtyRange.ending))).one()
    assert marked[0] <= AT
    assert marked[1] >= AT + timedelta(minutes=count // 50 - 1)


def test_points_may_be_named_by_their_id(deployment: Deployment, send, device: str):
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, other := unique("other"), name="Other", points=[NewPoint("level")])
        (point,) = list_points(session, device=other)
    rows = [{"point": point.id, "time": f"2026-02-01T00:00:0{n}Z", "value": n + 0.5} for n in range(4)]
    for (media_type, write), row in zip(FORMATS.items(), rows, strict=True):
        assert send(write([row]), media_type).json()["stored"] == 1
    assert [value for _, _, value in stored(deployment, other)] == [0.5, 1.5, 2.5, 3.5]
    unknown = send(as_csv([rows[0] | {"point": 2**31 - 1}, rows[0] | {"point": "x"}]))
    assert [(one["row"], one["field"]) for one in unknown.json()["problems"]] == [(2, "point"), (3, "point")]


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"device": "nobody"}, "device", "unknown_device"),
        ({"device": None}, "device", "bad_name"),
        ({"device": 7}, "device", "bad_name"),
        ({"name": "no spaces"}, "name", "bad_name"),
        ({"name": "x" * 200}, "name", "bad_name"),
        ({"time": "2026-02-01T00:00:00"}, "time", "bad_time"),
        ({"time": "yesterday"}, "time", "bad_time"),
        ({"time": True}, "time", "bad_time"),
        ({"time": None}, "time", "bad_time"),
        ({"time": [1]}, "time", "bad_time"),
        ({"time": 1_769_904_000}, "time", "implausible_time"),
        ({"time": "1999-12-31T23:59:59Z"}, "time", "implausible_time"),
        ({"time": "9999-12-31T23:59:59Z"}, "time", "implausible_time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time", "implausible_time"),
        ({"time": 1e300}, "time", "implausible_time"),
        ({"time": "2015-01-01T00:00:00Z"}, "time", "beyond_retention"),
        ({"value": "warm"}, "value", "bad_value"),
        ({"value": None}, "value", "bad_value"),
        ({"value": math.nan}, "value", "bad_value"),
        ({"value": math.inf}, "value", "bad_value"),
        ({"value": -1e281}, "value", "bad_value"),
        ({"value": {}}, "value", "bad_value"),
        ({"value": 10**400}, "value", "bad_value"),
    ],
)
@pytest.mark.parametrize("media_type", [NDJSON, JSON])
def test_a_bad_row_is_told_and_its_neighbours_are_stored(
    deployment: Deployment, send, device: str, media_type: str, change: Row, field: str, reason: str
):
    good = rows_of(device, 3)
    answer = send(FORMATS[media_type]([good[0], good[1] | change, good[2]]), media_type).json()
    assert (answer["rows"], answer["stored"], answer["rejected"]) == (3, 2, 1)
    (problem,) = answer["problems"]
    assert (problem["row"], problem["field"], problem["reason"]) == (2, field, reason)
    assert problem["detail"]
    assert [value for _, _, value in stored(deployment, device)] == [0.0, 2 / 7]


def test_what_is_kept_is_asked_again_while_an_upload_goes_on(
    deployment: Deployment, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_module, "LOOK_EVERY", 0)
    monkeypatch.setattr(service_module, "BATCH_ROWS", 1)

    def drop_readings(until: datetime | None) -> None:
        with deployment.databases.core() as core:
            core.execute(
                text(
                    "INSERT INTO storage_status (tenant_id, engine, complete_until, raw_from, lag_seconds,"
                    " dirty_ranges, dirty_seconds, checked_at)"
                    " VALUES (:tenant, 'postgresql', now(), :until, 0, 0, 0, now())"
                    " ON CONFLICT (tenant_id) DO UPDATE SET raw_from = excluded.raw_from"
                ),
                {"tenant": deployment.acme.id, "until": until},
            )

    def lines() -> Iterator[bytes]:
        rows = rows_of(device, 3)
        yield as_lines(rows[:1]) + b"\n"
        eventually(lambda: stored(deployment, device))
        drop_readings(AT + timedelta(minutes=2))
        yield as_lines(rows[1:])

    try:
        answer = send(lines(), NDJSON).json()
    finally:
        drop_readings(None)
    assert (answer["stored"], answer["rejected"]) == (2, 1)
    (problem,) = answer["problems"]
    assert (problem["row"], problem["reason"]) == (2, "beyond_retention")


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("{device},power", "row", "malformed"),
        ("{device},power,2026-02-01T00:00:00Z,1,2", "row", "malformed"),
        ("{device},power,2026-02-01T00:00:00Z,", "value", "bad_value"),
        ("{device},power,2026-02-01T00:00:00Z,nan", "value", "bad_value"),
        ("{device},power,2026-02-01T00:00:00Z,1_000", "value", "bad_value"),
        ("{device},,2026-02-01T00:00:00Z,1", "name", "bad_name"),
        (",power,2026-02-01T00:00:00Z,1", "device", "bad_name"),
        ('"{device}, the first",power,2026-02-01T00:00:00Z,1', "device", "unknown_device"),
    ],
)
def test_a_bad_line_of_csv_is_told_with_its_number(
    deployment: Deployment, send, device: str, line: str, field: str, reason: str
):
    good = f"{device},power,1769904000000,true\n"
    body = f"device,name,time,value\n{good}\n{line.format(device=device)}\n{good}"
    answer = send(body.encode()).json()
    assert (answer["stored"], answer["rejected"]) == (2, 1)
    assert [(one["row"], one["field"], one["reason"]) for one in answer["problems"]] == [(4, field, reason)]
    assert stored(deployment, device) == [("power", AT, 1.0)]


def test_the_first_problems_are_listed_and_all_are_counted(send, device: str):
    answer = send(as_csv([row | {"value": "x"} for row in rows_of(device, 250)])).json()
    assert (answer["rejected"], len(answer["problems"]), answer["problems_not_shown"]) == (250, 100, 150)
    assert [one["row"] for one in answer["problems"]] == list(range(2, 102))


def test_new_names_make_points_up_to_the_devices_limit(
    deployment: Deployment, live: Live, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live.settings, "ingest_max_points_per_device", 3)
    rows = [row | {"name": f"p{n % 5}"} for n, row in enumerate(rows_of(device, 10))]
    answer = send(as_csv(rows)).json()
    assert (answer["stored"], answer["rejected"], answer["points_made"]) == (6, 4, 3)
    assert {one["reason"] for one in answer["problems"]} == {"too_many_points"}
    assert {name for name, _, _ in stored(deployment, device)} == {"p0", "p1", "p2"}


def test_new_names_make_points_up_to_the_tenants_quota(deployment: Deployment, send, device: str):
    with deployment.databases.tenant(deployment.acme) as session:
        there = session.scalar(select(func.count()).select_from(Point)) or 0
    with deployment.databases.core() as core:
        put_quotas(core, "acme", own={"points": there + 2}, actor=SYSTEM)
    try:
        rows = [row | {"name": f"p{n % 5}"} for n, row in enumerate(rows_of(device, 10))]
        answer = send(as_csv(rows)).json()
        assert (answer["stored"], answer["rejected"], answer["points_made"]) == (4, 6, 2)
        assert {one["reason"] for one in answer["problems"]} == {"too_many_points"}
        again = send(as_csv([row | {"name": "p0", "value": 2} for row in rows_of(device, 1)])).json()
        assert again["stored"] == 1, "a point that is there goes on"
    finally:
        with deployment.databases.core() as core:
            put_quotas(core, "acme", own={}, actor=SYSTEM)


def test_a_dry_run_says_the_same_and_changes_nothing(deployment: Deployment, send, device: str):
    rows = rows_of(device, 6)
    rows[3]["value"] = "x"
    dry = send(as_csv(rows), dry_run=True).json()
    assert (dry["dry_run"], dry["stored"], dry["rejected"], dry["points_made"]) == (True, 5, 1, 2)
    with deployment.databases.tenant(deployment.acme) as session:
        assert list_points(session, device=device) == []
    assert send(as_csv(rows)).json() == dry | {"dry_run": False}
    assert len(stored(deployment, device)) == 5


def test_an_empty_body_is_nothing(send):
    assert send(b"device,name,time,value\n").json()["rows"] == 0
    for media_type in (NDJSON, JSON):
        assert send(b"" if media_type == NDJSON else b" [ ] ", media_type).json()["rows"] == 0
    assert send(b"").status_code == 422
    assert send(b"", ARROW).status_code == 422


@pytest.mark.parametrize(
    ("media_type", "body", "says"),
    [
        (CSV, b"a,b\n1,2\n", "no column"),
        (CSV, b"device,time,value\nx,1,2\n", "no column name"),
        (CSV, b"\xff\xfe", "not UTF-8"),
        (CSV, b"x" * 200_000, "longer than"),
        (JSON, b"{}", "send an array"),
        (JSON, b"", "does not end"),
        (JSON, b"[1 2]", "a comma"),
        (JSON, b'[{"a": }]', "not JSON"),
        (JSON, b'[{"value": "' + b"x" * 200_000, "not JSON"),
        (JSON, b"[" * 100_000, "not JSON"),
        (ARROW, b"device,name,time,value\n", "not an Arrow stream"),
        (ARROW, b"\xff\xff\xff\xff\xff\xff\xff\x7f", "no plausible length"),
    ],
)
def test_a_body_that_cannot_be_read_is_answered_with_what_is_wrong(
    send, media_type: str, body: bytes, says: str
):
    answer = send(body, media_type)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input"), answer.text
    assert says in answer.json()["detail"]
    assert answer.json()["stored"] == 0


@pytest.mark.parametrize("media_type", [CSV, NDJSON, JSON])
def test_what_comes_before_the_unreadable_is_stored(
    deployment: Deployment, send, device: str, media_type: str
):
    rows = rows_of(device, 5)
    tails = {CSV: b"\xff\n", NDJSON: b"\n\xff", JSON: b""}
    body = FORMATS[media_type](rows)
    body = body[:-2] if media_type == JSON else body + tails[media_type]
    answer = send(body, media_type)
    assert answer.status_code == 422, answer.text
    # Text is decoded as it arrives, which here is all at once.
    expected = 5 if media_type == JSON else 0
    assert (answer.json()["stored"], len(stored(deployment, device))) == (expected, expected)


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/vnd.apache.parquet", "text/csv2"])
def test_other_kinds_of_bodies_are_not_taken(send, media_type: str):
    answer = send(b"x", media_type)
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert "text/csv" in answer.json()["detail"]


def test_too_large_a_body_is_not_taken(send, device: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body_module, "MAX_BYTES", 100_000)
    answer = send(iter([as_csv(rows_of(device, 10)), b"\n" * 200_000]))
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert {"stored", "rejected", "last_row"} <= answer.json().keys()
