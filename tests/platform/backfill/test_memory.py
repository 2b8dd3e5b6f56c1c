"""An upload may be larger than memory: nothing of it is kept."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from insula_platform.backfill import service as service_module
from insula_platform.backfill.errors import Unreadable
from insula_platform.backfill.formats import Malformed, read_csv, read_json_array, read_json_lines
from insula_platform.backfill.service import Backfill
from insula_platform.oauth.clients import create_service_client
from tests.conftest import Deployment
from tests.platform.backfill.bodies import as_array, as_csv, as_lines, rows_of
from tests.platform.conftest import access_of


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
