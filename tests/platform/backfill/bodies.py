"""Rows in every format that an upload may have, and what became of them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from insula_platform.oauth.clients import create_service_client
from insula_tenants.context import TenantContext
from insula_tenants.devices import list_points
from insula_tenants.telemetry.models import Reading
from tests.conftest import Deployment
from tests.platform.conftest import Live

PATH = "/api/v1/tenants/acme/readings"
AT = datetime(2026, 2, 1, tzinfo=UTC)
CSV, NDJSON = "text/csv", "application/x-ndjson"
JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"

Row = dict[str, Any]


def token_of(live: Live, scope: str, context: TenantContext | None = None) -> str:
    with live.deployment.databases.core() as core:
        credentials = create_service_client(core, context or live.deployment.acme, "uploads", scope)
    return str(live.token_request(credentials, grant_type="client_credentials").json()["access_token"])


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
