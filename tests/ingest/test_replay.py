"""Replaying files: real ones with their quirks, and broken ones whose every row is accounted for."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from insula_ingest.device import Device, PublishRefusedError, UnacknowledgedError
from insula_ingest.replay import ReplayError, ReplayReport, ReplayStoppedError, command, replay
from insula_ingest.replay.rows import read_rows
from insula_ingest.replay.sending import IN_FLIGHT
from tests.ingest.listener import PASSWORD, broker, listening, locked_settings
from tests.servers.mosquitto import MosquittoServer, free_port

BRUSSELS = ZoneInfo("Europe/Brussels")


def real(name: str) -> Path:
    """A file of the real data, which lies beside the project and not in it."""
    for folder in Path(__file__).parents:
        if (file := folder / "shared" / "data" / name).is_file():
            return file
    raise AssertionError(f"the real data is not there: expected ../shared/data/{name} beside the project")


def head(directory: Path, file: Path, first: int, last: int) -> Path:
    """A file with the header of `file` and its lines from `first` to `last`, the header being line 1."""
    with file.open() as stream:
        lines = list(islice(stream, last))
    cut = directory / file.name
    cut.write_text("".join([lines[0], *lines[first - 1 :]]))
    return cut


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MosquittoServer]:
    with broker(tmp_path) as running:
        yield running


def logger(port: int) -> Device:
    return Device("acme", "logger-1", password=PASSWORD, port=port)


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def test_a_real_file_with_unnamed_row_numbers_arrives_row_by_row(
    server: MosquittoServer, tmp_path: Path
) -> None:
    file = head(tmp_path, real("occupancy/datatest2.csv"), 2, 301)
    with listening(server.port) as listener, logger(server.port) as device:
        report = replay(
            file,
            device,
            time_column="date",
            time_zone="Europe/Brussels",
            points=["Temperature", "CO2", "Occupancy"],
            rename={"Temperature": "temperature", "CO2": "co2"},
        )
        sent = listener.wait("telemetry", lambda seen: len(seen) == 300)
        assert listener.payloads("status") == ["online"]
    assert report == ReplayReport(rows=300, messages=300, values=900)
    with file.open() as stream:
        rows = list(csv.reader(stream))[1:]
    assert sent == [
        {
            "ts": milliseconds(datetime.fromisoformat(row[1]).replace(tzinfo=BRUSSELS)),
            "values": {"temperature": float(row[2]), "co2": float(row[5]), "Occupancy": int(row[7])},
        }
        for row in rows
    ]


def test_a_real_file_with_padded_numbers_and_times_that_never_were(
    server: MosquittoServer, tmp_path: Path
) -> None:
    # The house's logger kept winter time, and so has rows in an hour that local clocks left out.
    file = head(tmp_path, real("appliances/testing.csv"), 2670, 2690)
    arguments = {"time_column": "date", "points": ["Appliances", "Windspeed"], "batch": 5}
    with listening(server.port) as listener, logger(server.port) as device:
        local = replay(file, device, time_zone="Europe/Brussels", **arguments)  # type: ignore[arg-type]
        winter = replay(file, device, time_zone="Etc/GMT-1", **arguments)  # type: ignore[arg-type]
        batches = listener.wait("telemetry", lambda seen: len(seen) == 9)
    assert (local.rows, local.messages, local.values) == (21, 4, 36)
    assert [line for line, _ in local.skipped] == [13, 14, 15]
    assert "'2016-03-27 02:10:00' did not exist in Europe/Brussels" in local.skipped[0][1]
    assert winter == ReplayReport(rows=21, messages=5, values=42)
    assert [len(batch) for batch in batches] == [5, 5, 5, 3, 5, 5, 5, 5, 1]
    assert all(isinstance(r["values"]["Windspeed"], int | float) for batch in batches for r in batch)


def replay_text(text: bytes, directory: Path, **more: object) -> tuple[list[dict[str, object]], ReplayReport]:
    """What a file with this content sends, as payloads in order, and the report."""
    file = directory / "file.csv"
    file.write_bytes(text)
    sent: list[dict[str, object]] = []

    class Sink(Device):
        def publish(self, values: object, *, at: datetime | None = None) -> None:
            assert at is not None
            sent.append({"at": at, "values": values})

    device = Sink("acme", "logger-1", password=PASSWORD)
    arguments = {"time_column": "time", "points": ["a", "b"]} | more
    return sent, replay(file, device, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        b"time,a,b\n2026-03-02T12:00:00Z,1.5,2\n",
        b"\xef\xbb\xbftime,a,b\r\n2026-03-02T13:00:00+01:00,1.5,2\r\n",
        b'"a","time","b"\n\n"  1.5","2026-03-02 12:00:00+00:00"," 2 "\n\n',
        b'a,b,other,time\n1.50,+2e0,"x, y","2026-03-02 07:00-05:00"',
        b'"time","a","b"\n"1",2026-03-02T12:00Z,1.5,2.0\n',
    ],
    ids=["plain", "bom-crlf-offset", "quoted-blank-lines", "other-column", "row-numbers"],
)
def test_a_row_is_the_same_however_it_is_written(text: bytes, tmp_path: Path) -> None:
    sent, report = replay_text(text, tmp_path)
    assert sent == [{"at": datetime(2026, 3, 2, 12, tzinfo=UTC), "values": {"a": 1.5, "b": 2}}]
    assert report == ReplayReport(rows=1, messages=1, values=2)


def test_an_empty_cell_is_a_value_that_is_not_there_and_truth_values_stay_so(tmp_path: Path) -> None:
    sent, report = replay_text(b"time,a,b\n2026-03-02T12:00Z,,TRUE\n2026-03-02T12:01Z,0, \n", tmp_path)
    assert [record["values"] for record in sent] == [{"b": True}, {"a": 0}]
    assert report.values == 2
    assert report.skipped == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2026-03-02T12:00Z,1", "it has 2 cells where 3 were expected"),
        (b"2026-03-02T12:00Z,1,2,3", "it has 4 cells where 3 were expected"),
        (b"02/03/2026 12:00,1,2", "its time '02/03/2026 12:00' is not like 2026-03-02 14:19:00"),
        (b"2026-13-02T12:00Z,1,2", "its time '2026-13-02T12:00Z' is not like 2026-03-02 14:19:00"),
        (b"0001-01-01T00:00+14:00,1,2", "its time '0001-01-01T00:00+14:00' is out of range"),
        (b"2026-03-02T12:00Z,NA,2", "a has 'NA', which is no number"),
        (b"2026-03-02T12:00Z,1,nan", "b has 'nan', which is no number"),
        (b"2026-03-02T12:00Z,1e999,2", "a has '1e999', which is no number"),
        (b'2026-03-02T12:00Z,"1,5",2', "a has '1,5', which is no number"),
        (b"2026-03-02T12:00Z,1_000,2", "a has '1_000', which is no number"),
        (b"2026-03-02T12:00Z,,", "it has no value for any of the points"),
        (b"2026-03-02T12:00Z,\xff,2", "it is not UTF-8"),
        (b'2026-03-02T12:00Z,"1,2', "it is no CSV: unexpected end of data"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_costs_no_other(line: bytes, reason: str, tmp_path: Path) -> None:
    good = b"2026-03-02T13:00Z,3,4\n"
    sent, report = replay_text(b"time,a,b\n" + good + b"\n" + line + b"\n" + good, tmp_path)
    assert report.skipped == [(4, reason)]
    assert (report.rows, report.messages) == (3, 2)
    assert len(sent) == 2


def test_a_time_that_occurred_twice_is_the_first_and_is_counted(tmp_path: Path) -> None:
    text = b"time,a,b\n2026-10-25 01:59,1,1\n2026-10-25 02:30,1,1\n2026-10-25 03:00,1,1\n"
    sent, report = replay_text(text, tmp_path, time_zone="Europe/Brussels")
    assert report.ambiguous == 1
    assert sent[1]["at"] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "arguments", "complaint"),
    [
        (b"", {}, "is empty: its first line must name the columns"),
        (b"time,a\n", {}, "no column 'b'; its columns are: time, a"),
        (b"time,a,b,a\n", {}, "2 columns 'a'"),
        (b"when,a,b\n", {}, "no column 'time'"),
        (b"time,a,b\n2026-03-02 12:00,1,2\n", {}, "'time' carry no offset: name their zone"),
        (b"time,a,b\n", {"time_zone": "Brussels"}, "'Brussels' is no IANA time zone"),
        (b"time,a,b\n", {"points": []}, "no points were named"),
        (b"time,a,b\n", {"rename": {"c": "d"}}, "cannot rename c"),
        (b"time,a,b\n", {"rename": {"a": "b"}}, "two columns would be the same point"),
        (b"time,a b\n", {"points": ["a b"]}, "'a b' cannot name a point: rename column 'a b'"),
        (b"\xfe\xff\x00t", {}, "line 1, which must name the columns: it is not UTF-8"),
        (b"x" * 2_000_000, {}, "line 1 is longer than"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_with_the_reason(
    text: bytes, arguments: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ReplayError, match=complaint):
        replay_text(text, tmp_path, **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"none.csv cannot be read: No such file"):
        replay(tmp_path / "none.csv", logger(free_port()), time_column="time", points=["a"])


@settings(deadline=None)
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(), min_size=1))
def test_every_number_arrives_as_it_was_written(
    numbers: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "numbers.csv"
    file.write_text("time,a\n" + "".join(f"2026-03-02T12:00Z,{number!r}\n" for number in numbers))
    rows = read_rows(file, time_column="time", time_zone=None, points=["a"], rename={})
    read = [json.loads(json.dumps(row.record[1]["a"])) for row in rows if row.record]
    assert [float(number) for number in read] == [float(number) for number in numbers]


def test_the_pace_is_that_of_the_file_at_the_given_speed(tmp_path: Path) -> None:
    text = b"time,a,b\n2026-03-02T12:00Z,1,1\n2026-03-02T12:01Z,1,1\n2026-03-02T12:02Z,1,1\n"
    begin = time.monotonic()
    replay_text(text, tmp_path, speed=600)
    assert 0.2 <= time.monotonic() - begin < 5


def test_a_broker_that_restarts_in_the_middle_loses_nothing(server: MosquittoServer) -> None:
    restarts = [500, 1500]

    def restart(_position: int, report: ReplayReport) -> None:
        if restarts and report.messages >= restarts[0]:
            restarts.pop(0)
            server.stop()
            server.start()

    with listening(server.port) as listener, logger(server.port) as device:
        report = replay(
            real("occupancy/datatest.csv"),
            device,
            time_column="date",
            time_zone="Europe/Brussels",
            points=["Light"],
            on_row=restart,
        )
        assert device.unacknowledged == 0
        sent = listener.wait("telemetry", lambda seen: len({payload["ts"] for payload in seen}) == 2665)
    assert report == ReplayReport(rows=2665, messages=2665, values=2665)
    assert restarts == []
    assert len(sent) >= 2665


def test_a_broker_that_stays_away_stops_the_reading_and_is_told(tmp_path: Path) -> None:
    device = logger(free_port())
    device.open()
    with pytest.raises(ReplayStoppedError, match=r"stopped at line \d+: .*cannot reach") as error:
        replay(
            real("occupancy/datatest.csv"),
            device,
            time_column="date",
            time_zone="Europe/Brussels",
            points=["Light"],
            patience=0.2,
        )
    assert error.value.unacknowledged == error.value.report.messages == IN_FLIGHT + 1
    with pytest.raises(UnacknowledgedError):
        device.close(0.0)


def test_a_refused_message_stops_the_replay(tmp_path: Path) -> None:
    settings = locked_settings(
        tmp_path, {"acme/logger-1": "topic write tenants/acme/devices/logger-1/status"}
    )
    file = tmp_path / "file.csv"
    file.write_text("time,a\n2026-03-02T12:00Z,1\n")
    with broker(tmp_path, settings) as locked, logger(locked.port) as device:
        with pytest.raises(ReplayStoppedError, match="Not authorized") as error:
            replay(file, device, time_column="time", points=["a"])
        assert isinstance(error.value.__cause__, PublishRefusedError)


def run(port: int, file: Path, *more: str) -> Result:
    arguments = ["--tenant", "acme", "--device", "logger-1", "--port", str(port), "--time-column", "time"]
    environment = {"INSULA_DEVICE_PASSWORD": PASSWORD, "COLUMNS": "200"}
    return CliRunner().invoke(command, [str(file), *arguments, "--points", "a", *more], env=environment)


def test_the_command_says_what_it_sent_and_what_it_skipped(server: MosquittoServer, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("time,a\n2026-03-02T12:00Z,1\n2026-03-02T12:01Z,2\n2026-03-02T12:02Z,3\n")
    with listening(server.port) as listener:
        result = run(server.port, file, "--rename", "a=illuminance", "--batch", "2")
        sent = listener.wait("telemetry", lambda seen: len(seen) == 2)
    assert result.exit_code == 0, result.output
    assert "3 rows read, 0 skipped; 3 values sent and acknowledged in 2 messages" in result.stdout
    assert [record["values"]["illuminance"] for batch in sent for record in batch] == [1, 2, 3]

    file.write_text("time,a\n2026-03-02T12:00Z,1\n2026-03-02T12:01Z,[bold]\n")
    result = run(server.port, file)
    assert result.exit_code == 1, result.output
    assert "2 rows read, 1 skipped; 1 values sent" in result.stdout
    assert "line 3 skipped: a has '[bold]', which is no number" in result.stderr


def test_the_command_fails_when_the_file_or_an_argument_cannot_be_used(
    server: MosquittoServer, tmp_path: Path
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("when,a\n")
    result = run(server.port, file)
    assert result.exit_code == 2
    assert "Error: the file has no column 'time'; its columns are: when, a." in result.stderr
    result = run(server.port, file, "--rename", "a")
    assert result.exit_code == 2
    assert "COLUMN=POINT" in result.stderr


def test_the_command_fails_when_the_broker_refuses(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("time,a\n2026-03-02T12:00Z,1\n")
    other = locked_settings(tmp_path, {"acme/other-1": "topic write #"})
    with broker(tmp_path, other) as locked:
        result = run(locked.port, file)
    assert result.exit_code == 3
    assert "Error: the broker refused the connection of acme/logger-1" in result.stderr
    assert PASSWORD not in result.output


def test_the_platforms_command_line_can_take_the_command_in() -> None:
    [entry] = entry_points(group="insula.commands", name="replay")
    parent = typer.Typer()
    parent.command("other")(lambda: None)
    parent.add_typer(entry.load())
    result = CliRunner().invoke(parent, ["replay", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "--time-zone" in result.stdout
