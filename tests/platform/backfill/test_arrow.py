"""Arrow streams: types, compression, and dictionaries that could unfold."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pyarrow as pa
import pytest

from insula_platform.backfill.arrow import read_arrow
from insula_platform.backfill.errors import Unreadable
from tests.conftest import Deployment
from tests.platform.backfill.bodies import ARROW, AT, stored


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
