"""`POST …/readings`: store readings from a file, however large."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from insula_platform.access import Access, Requires
from insula_platform.backfill.arrow import MAX_BATCH_BYTES, read_arrow
from insula_platform.backfill.body import MAX_BYTES, Body
from insula_platform.backfill.errors import BodyTooLarge, UnknownFormat
from insula_platform.backfill.formats import Rows, read_csv, read_json_array, read_json_lines
from insula_platform.backfill.schemas import BackfillResult
from insula_platform.backfill.service import Backfill, url_of
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform

log = structlog.stdlib.get_logger("insula.backfill")

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Readings"], responses=PROBLEM_RESPONSES)

_FORMATS: dict[str, Callable[[Body], Rows]] = {
    "text/csv": read_csv,
    "application/x-ndjson": read_json_lines,
    "application/json": read_json_array,
    "application/vnd.apache.arrow.stream": read_arrow,
}
_ROW = {
    "type": "object",
    "required": ["time", "value"],
    "properties": {
        "device": {"type": "string", "description": "The device's id; with `name`."},
        "name": {"type": "string", "description": "Name of the point: a new one makes a point."},
        "point": {"type": "integer", "description": "The point's id, in place of `device` and `name`."},
        "time": {
            "description": "RFC 3339 with an offset, or milliseconds since the epoch.",
            "oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
        },
        "value": {"oneOf": [{"type": "number"}, {"type": "boolean"}]},
    },
}
_LINE = {"device": "lamp", "name": "power", "time": "2026-11-23T07:15:00Z", "value": 21.5}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "device,name,time,value\nlamp,power,2026-11-23T07:15:00Z,21.5\n",
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "A row of the array in each line."},
                "example": '{"device":"lamp","name":"power","time":"2026-11-23T07:15:00Z","value":21.5}\n',
            },
            "application/json": {"schema": {"type": "array", "items": _ROW}, "example": [_LINE]},
            "application/vnd.apache.arrow.stream": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "Columns `device` and `name`, or `point`; `time`, a timestamp with a time "
                    "zone; and `value`. Not compressed, record batches of at most "
                    f"{MAX_BATCH_BYTES >> 20} MiB.",
                }
            },
        },
    }
}


@router.post("/readings", responses=problem_responses(408, 413, 415, 429), openapi_extra=_BODY)
async def post_readings(
    access: Annotated[Access, Requires("readings:write")],
    platform: CurrentPlatform,
    request: Request,
    dry_run: Annotated[bool, Query(description="Check everything and store nothing.")] = False,
) -> BackfillResult:
    """Store readings of any age: CSV, lines of JSON, a JSON array or an Arrow stream, by `Content-Type`.

    Rows are stored in batches as they arrive. A row that cannot be stored is told, and keeps none of the
    others back. A reading that is there already is stored once, with another value it replaces the first; so
    the same file may be sent again at any time, and no `Idempotency-Key` is needed. An upload that ends early
    is answered with a problem whose `stored` and `last_row` say how far it came.
    """
    read = _reader(request)
    url = url_of(platform.settings.service_urls(), access.context)
    with platform.uploads.one_more(access.context.slug):
        backfill = Backfill(
            platform.databases,
            access,
            url,
            max_points=platform.settings.ingest_max_points_per_device,
            dry_run=dry_run,
        )
        body = Body(aiter(request.stream()), most_at_once=MAX_BATCH_BYTES)

        def work() -> None:
            with closing(backfill):
                backfill.run(read(body))

        try:
            # A thread of its own kind: uploads must not take those of the other requests.
            await to_thread.run_sync(work, limiter=CapacityLimiter(1))
        except ClientDisconnect:
            log.info("a client went away in the middle of an upload", stored=backfill.outcome.stored)
            return Response(status_code=400)  # type: ignore[return-value] # nobody reads it
    return BackfillResult.of(backfill.outcome, dry_run=dry_run)


def _reader(request: Request) -> Callable[[Body], Rows]:
    """How to read this body; `UnknownFormat` and `BodyTooLarge` before any of it is read."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    read = _FORMATS.get(media_type)
    if read is None:
        raise UnknownFormat(f"{media_type or 'no Content-Type'}: send one of {', '.join(_FORMATS)}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnknownFormat("send the body without Content-Encoding")
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > MAX_BYTES:
        error = BodyTooLarge(f"a body has at most {MAX_BYTES} bytes: send it in parts")
        error.came_to(stored=0, rejected=0, last_row=0)
        raise error
    return read
