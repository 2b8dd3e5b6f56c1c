"""Readings over HTTP: every format, every bad row, and every way in which an upload may end early."""

from __future__ import annotations

import io
import itertools
import json
import math
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
from sqlalchemy import func, select, text

from insula_platform.backfill import body as body_module
from insula_platform.backfill import service as service_module
from insula_platform.backfill.arrow import read_arrow
from insula_platform.backfill.errors import Unreadable
from insula_platform.backfill.formats import Malformed, read_csv, read_json_array, read_json_lines
from insula_platform.backfill.service import BATCH_ROWS, Backfill
from insula_platform.oauth.clients import create_service_client
from insula_tenants.audit import SYSTEM
from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, Point, create_device, list_points
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from insula_tenants.quotas import put_quotas
from insula_tenants.telemetry.models import DirtyRange, Latest, Reading
from tests.conftest import Deployment
from tests.platform.conftest import Live, access_of
from tests.servers.mqtt import unique
from tests.waiting import eventually

PATH = "/api/v1/tenants/acme/readings"
AT = datetime(2026, 2, 1, tzinfo=UTC)
CSV, NDJSON = "text/csv", "application/x-ndjson"
JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    return token_of(live, "readings:write readings:read")


def token_of(live: Live, scope: str, context: TenantContext | None = None) -> str:
    with live.deployment.databases.core() as core:
        credentials = create_service_client(core, context or live.deployment.acme, "uploads", scope)
    return str(live.token_request(credentials, grant_type="client_credentials").json()["access_token"])


@pytest.fixture
def send(live: Live, token: str) -> Callable[..., httpx.Response]:
    def sent(
        content: bytes | Iterable[bytes], media_type: str = CSV, *, token: str = token, **query: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        with live.client() as client:
            return client.post(PATH, content=content, params=query, headers=headers, timeout=60)

    return sent


@pytest.fixture
def device(deployment: Deployment) -> str:
    """A device of acme's without points."""
    slug = unique("meter")
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, slug, name=slug)
    return slug


def stored(deployment: Deployment, device: str) -> list[tuple[str, datetime, float]]:
    with deployment.databases.tenant(deployment.acme) as session:
        ids = {point.id: point.name for point in list_points(session, device=device, limit=1000)}
        query = select(Reading.point_id, Reading.time, Reading.value).where(Reading.point_id.in_(ids))
        return sorted((ids[point], at, value) for point, at, value in session.execute(query))


def rows_of(device: str, count: int = 3) -> list[Row]:
    return [
        {
            "device": device,
            "name": "power" if n % 2 else "energy",
            "time": (AT + timedelta(minutes=n, microseconds=n)).isoformat(),
            "value": n / 7,
        }
        for n in range(count)
    ]


def as_csv(rows: list[Row]) -> bytes:
    columns = list(rows[0])
    lines = [",".join(columns), *(",".join(str(row[column]) for column in columns) for row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode()


def as_lines(rows: list[Row]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def as_array(rows: list[Row]) -> bytes:
    return json.dumps(rows, indent=1).encode()


def as_arrow(rows: list[Row], *, unit: str = "us", dictionary: bool = True, batch: int = 100_000) -> bytes:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        "time": pa.array([datetime.fromisoformat(at) for at in columns["time"]], pa.timestamp(unit, "UTC")),
        "value": pa.array(columns["value"]),
    }
    for name in columns.keys() - arrays.keys():
        array = pa.array(columns[name])
        arrays[name] = array.dictionary_encode() if dictionary and name != "point" else array
    table = pa.table(arrays)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return sink.getvalue()


FORMATS = {CSV: as_csv, NDJSON: as_lines, JSON: as_array, ARROW: as_arrow}


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


# Arrow


def arrow_stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def small_table(device: Any = "x", **changes: Any) -> pa.Table:
    columns = {
        "device": pa.array([device]) if isinstance(device, str) else device,
        "name": pa.array(["power"]),
        "time": pa.array([AT], pa.timestamp("us", "UTC")),
        "value": pa.array([1.5]),
    }
    return pa.table(columns | changes)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_arrow_stream_is_refused_before_it_unfolds(send, codec: str):
    large = small_table().take(pa.array([0] * 50_000))
    plain = arrow_stream(large.combine_chunks())
    answer = send(arrow_stream(large, compression=codec), ARROW)
    assert answer.status_code == 422
    assert "compressed" in answer.json()["detail"]
    assert "compressed" not in send(plain, ARROW).text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"time": pa.array([AT.replace(tzinfo=None)])}, "a timestamp with a time zone"),
        ({"value": pa.array(["1"])}, "send numbers or booleans"),
        ({"value": pa.nulls(1)}, "send numbers or booleans"),
        ({"device": pa.array([1])}, "send text"),
    ],
)
def test_columns_of_other_types_are_named(send, changes: dict[str, Any], says: str):
    answer = send(arrow_stream(small_table(**changes)), ARROW)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int32(), pa.bool_()])
def test_times_of_every_unit_and_numbers_of_every_kind_are_taken(
    deployment: Deployment, send, device: str, unit: str, kind: pa.DataType
):
    time_column = pa.array([AT], pa.timestamp(unit, "Europe/Brussels"))
    table = small_table(device, time=time_column, value=pa.array([1]).cast(kind))
    assert send(arrow_stream(table), ARROW).json()["stored"] == 1
    assert stored(deployment, device) == [("power", AT, 1.0)]


def test_a_null_is_a_bad_row(send, device: str):
    table = pa.concat_tables([small_table(device), small_table(device, value=pa.array([None], pa.float64()))])
    answer = send(arrow_stream(table), ARROW).json()
    assert (answer["stored"], answer["problems"][0]["row"], answer["problems"][0]["field"]) == (1, 2, "value")


def test_mutated_arrow_streams_end_in_an_answer():
    """Any byte changed: rows, or `Unreadable`; never a crash, and never a large allocation."""
    stream = bytearray(arrow_stream(small_table().take(pa.array([0] * 20)).combine_chunks()))
    good = 0
    for position in range(0, len(stream), 3):
        for value in (0x00, 0x7F, 0xFF):
            mutated = bytearray(stream)
            mutated[position] = value
            file = io.BytesIO(bytes(mutated))
            try:
                good += len(list(read_arrow(file)))
            except Unreadable:
                continue
    assert good > 0


def test_a_long_text_in_a_dictionary_is_there_once_however_many_rows_have_it():
    device = pa.DictionaryArray.from_arrays(
        pa.array([0] * 5000 + [None], pa.int8()), pa.array(["x" * 1_000_000])
    )
    table = small_table().take(pa.array([0] * 5001)).set_column(0, "device", device)
    stream = io.BytesIO(arrow_stream(table))
    tracemalloc.start()
    try:
        rows = list(read_arrow(stream))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert [len(rows), rows[0][2], rows[-1][2]] == [5001, "x" * 1_000_000, None]


@pytest.mark.parametrize("deltas", [False, True])
def test_dictionaries_are_bounded_in_all(deltas: bool):
    """One that takes the place of another counts alone; one that adds to another counts with it."""
    sink = io.BytesIO()
    schema = small_table(pa.array(["x"]).dictionary_encode()).schema
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        texts: list[str] = []
        for number in range(6):
            texts = [*(texts if deltas else []), str(number) * 1_000_000]
            device = pa.DictionaryArray.from_arrays(pa.array([len(texts) - 1], pa.int32()), pa.array(texts))
            writer.write_table(small_table(device))
    if deltas:
        with pytest.raises(Unreadable, match="dictionaries of more than"):
            list(read_arrow(io.BytesIO(sink.getvalue())))
    else:
        assert len(list(read_arrow(io.BytesIO(sink.getvalue())))) == 6


# Ends


def paused(device: str, ready: threading.Event, go: threading.Event, rows: int) -> Iterator[bytes]:
    """A CSV that stops in the middle until it may go on."""
    content = as_csv(rows_of(device, rows))
    yield content[: len(content) - 200]
    ready.set()
    assert go.wait(30)
    yield content[len(content) - 200 :]


def test_an_outage_in_the_middle_says_how_many_are_stored_and_sending_again_stores_the_rest(
    deployment: Deployment, live: Live, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    """The connection is killed between two batches, and none can be made for a while."""
    rows = 3 * BATCH_ROWS
    content = as_csv(rows_of(device, rows))
    write = service_module.TelemetryWriter.write
    calls = 0

    def write_or_die(self: Any, batches: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            with deployment.databases.core() as core:
                core.execute(text("SELECT 1"))
            import psycopg

            with psycopg.connect(deployment.admin_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'insula-backfill' AND datname = current_database()"
                )
        write(self, batches)

    monkeypatch.setattr(service_module.TelemetryWriter, "write", write_or_die)
    answer = send(content)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "/problems/database-away")
    assert (problem["stored"], problem["last_row"]) == (2 * BATCH_ROWS, 2 * BATCH_ROWS + 1)
    assert f"{2 * BATCH_ROWS} rows are stored" in problem["detail"]
    assert len(stored(deployment, device)) == 2 * BATCH_ROWS
    assert send(content).json()["stored"] == rows
    assert len(stored(deployment, device)) == rows


def test_a_client_that_goes_away_in_the_middle_leaves_what_was_stored_and_nothing_behind(
    deployment: Deployment, live: Live, token: str, device: str
):
    content = as_csv(rows_of(device, 2 * BATCH_ROWS))
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: text/csv\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        client.sendall(head.encode() + content[: len(content) - 1000])
        eventually(lambda: len(stored(deployment, device)) == BATCH_ROWS, seconds=20)
        assert live.platform.uploads._of["acme"] == 1
    eventually(lambda: live.platform.uploads._of["acme"] == 0, what="the end of the upload")
    assert len(stored(deployment, device)) == BATCH_ROWS
    eventually(lambda: connections(deployment) == 0, what="the end of its connection")


def connections(deployment: Deployment) -> int:
    with deployment.databases.core() as core:
        return int(
            core.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'insula-backfill'"
                    " AND datname = current_database()"
                )
            )
            or 0
        )


def test_a_client_that_sends_nothing_any_more_is_told_so(
    deployment: Deployment, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(body_module, "PATIENCE", 0.5)
    go = threading.Event()

    def stalls() -> Iterator[bytes]:
        yield as_csv(rows_of(device, 5))
        go.wait(2)
        yield b"\n"

    answer = send(stalls())
    go.set()
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/timeout")
    assert (answer.json()["stored"], len(stored(deployment, device))) == (5, 5)


@pytest.mark.long
def test_a_client_that_sends_a_byte_now_and_then_does_not_keep_others_waiting(
    deployment: Deployment, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(body_module, "PATIENCE", 1.0)
    monkeypatch.setattr(body_module, "SLOWEST", 10_000_000)

    def trickles() -> Iterator[bytes]:
        yield as_csv(rows_of(device, 5))
        for _ in range(100):
            time.sleep(0.1)
            yield b"\n"

    answer = send(trickles())
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/timeout")
    assert (answer.json()["stored"], len(stored(deployment, device))) == (5, 5)


def test_so_many_uploads_at_a_time_and_the_neighbours_have_their_own(
    deployment: Deployment, live: Live, send, device: str
):
    ready, go = [threading.Event() for _ in range(2)], threading.Event()
    answers: list[int] = []

    def upload(number: int) -> None:
        answers.append(send(paused(device, ready[number], go, 100)).status_code)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for event in ready:
            assert event.wait(10)
        eventually(lambda: live.platform.uploads._of["acme"] == 2)
        refused = send(as_csv(rows_of(device)))
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-uploads")
        assert refused.headers["retry-after"]
        with live.platform.uploads.one_more("globex"):
            pass
    finally:
        go.set()
        for thread in threads:
            thread.join(20)
    assert answers == [200, 200]
    assert send(as_csv(rows_of(device))).status_code == 200


def test_a_tenant_that_is_suspended_in_the_middle_takes_no_more(
    deployment: Deployment, live: Live, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_module, "LOOK_EVERY", 0.0)
    go, answers = threading.Event(), []
    rows = rows_of(device, BATCH_ROWS + 10)
    content = as_csv(rows)
    first = len(as_csv(rows[:-5]))

    def halves() -> Iterator[bytes]:
        yield content[:first]
        assert go.wait(30)
        yield content[first:]

    thread = threading.Thread(target=lambda: answers.append(send(halves())))
    thread.start()
    try:
        eventually(lambda: len(stored(deployment, device)) == BATCH_ROWS, seconds=20)
        with deployment.databases.core() as core:
            suspend_tenant(core, "acme", "unpaid")
        go.set()
        thread.join(20)
    finally:
        go.set()
        with deployment.databases.core() as core:
            resume_tenant(core, "acme")
    (answer,) = answers
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-suspended")
    assert answer.json()["stored"] == BATCH_ROWS == len(stored(deployment, device))


def test_it_takes_its_scope_in_ones_own_tenant(live: Live, send, device: str):
    body = as_csv(rows_of(device))
    assert send(body, token=token_of(live, "readings:write")).status_code == 200
    assert send(body, token=token_of(live, "readings:read")).status_code == 403
    assert send(body, token=token_of(live, "readings:write", live.deployment.globex)).status_code == 404


def test_a_neighbours_device_is_none(deployment: Deployment, send):
    with deployment.databases.tenant(deployment.globex) as session:
        create_device(session, slug := unique("theirs"), name="Theirs", points=[NewPoint("power")])
    answer = send(as_csv(rows_of(slug))).json()
    assert (answer["stored"], answer["problems"][0]["reason"]) == (0, "unknown_device")


# Memory


def csv_chunks(device: str, rows: int) -> Iterator[bytes]:
    yield b"device,name,time,value\n"
    for start in range(0, rows, 1000):
        yield b"".join(
            b"%s,p%d,%d,%d.5\n" % (device.encode(), n % 20, 1_769_904_000_000 + n * 1000, n)
            for n in range(start, start + 1000)
        )


def array_chunks(device: str, rows: int) -> Iterator[bytes]:
    separator = b"["
    for n in range(rows):
        row = {"device": device, "name": f"p{n % 20}", "time": 1_769_904_000_000 + n * 1000, "value": n}
        yield separator + json.dumps(row).encode()
        separator = b","
    yield b"]"


@pytest.mark.parametrize(("read", "chunks"), [(read_csv, csv_chunks), (read_json_array, array_chunks)])
def test_memory_does_not_grow_with_the_rows(
    deployment: Deployment, device: str, read: Any, chunks: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_module, "BATCH_ROWS", 1000)
    with deployment.databases.core() as core:
        access = access_of(
            deployment.acme, create_service_client(core, deployment.acme, "x", "usage:read")[0]
        )

    def peak(rows: int) -> int:
        upload = Backfill(deployment.databases, access, deployment.service_url, max_points=200, dry_run=True)
        tracemalloc.start()
        try:
            assert upload.run(read(chunks(device, rows))).stored == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            upload.close()

    peak(1000)  # what is made once
    few, many = peak(2000), peak(12_000)
    assert many < 1.3 * few
    assert many < 4 * 1024 * 1024


def test_a_row_of_csv_ends_somewhere_though_its_cells_have_line_breaks():
    def chunks() -> Iterator[bytes]:
        yield b'device,name,time,value\nlamp,"power",1,1\n'
        for number in itertools.count():
            assert number < 100, "a row without an end is kept in memory"
            yield b'"a\nb",' * 1000

    rows = read_csv(chunks())
    assert next(rows) == (2, None, "lamp", "power", 1.0, 1.0)
    with pytest.raises(Unreadable, match="a row longer than 65536 characters"):
        next(rows)


def test_rows_are_found_however_the_body_is_cut(device: str):
    rows = [row | {"name": "dévice ☃"} for row in rows_of(device, 7)]
    for write, read in ((as_csv, read_csv), (as_lines, read_json_lines), (as_array, read_json_array)):
        body = write(rows)
        whole = list(read([body]))
        assert len(whole) == 7
        assert not any(isinstance(one, Malformed) for one in whole)
        for size in (1, 2, 3, 7, 50):
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
            assert list(read(pieces)) == whole
