"""The records of a file on their way: in order, paced, few at a time, acknowledged or counted as not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from insula_ingest.device import Device, DeviceError, Record
from insula_ingest.replay.rows import ReplayError, read_rows

IN_FLIGHT = 200
"""Messages that may wait for their acknowledgement before the file is read on."""


@dataclass
class ReplayReport:
    """What became of a file."""

    rows: int = 0
    """Rows read, the header and blank lines apart."""
    messages: int = 0
    """Messages handed to the device."""
    values: int = 0
    """Values in them."""
    ambiguous: int = 0
    """Rows whose local time occurred twice, in the night the clocks went back; the first was taken."""
    skipped: list[tuple[int, str]] = field(default_factory=list)
    """Rows that were no record: number of the line, reason."""


class ReplayStoppedError(ReplayError):
    """A replay could not be finished; `report` says how far it got, `unacknowledged` what is in doubt."""

    def __init__(self, line: int, report: ReplayReport, unacknowledged: int, cause: DeviceError) -> None:
        """`line` is the last line read."""
        super().__init__(
            f"stopped at line {line}: {cause}; {unacknowledged} of {report.messages} messages are not "
            "acknowledged. To send the file again does no harm"
        )
        self.report = report
        self.unacknowledged = unacknowledged


def replay(
    file: Path,
    device: Device,
    *,
    time_column: str,
    time_zone: str | None = None,
    points: Sequence[str],
    rename: Mapping[str, str] | None = None,
    speed: float | None = None,
    batch: int = 1,
    patience: float = 60.0,
    on_row: Callable[[int, ReplayReport], None] | None = None,
) -> ReplayReport:
    """Publish a CSV file's rows by an open device, and return when the broker has acknowledged all of them.

    `time_column` and `points` name columns; `rename` maps columns to other point names. Times are ISO 8601;
    `time_zone` is the IANA zone of those without an offset. A local time that occurred twice is taken as
    the first, and counted; one that never occurred is skipped. `speed` is how many seconds of the file pass
    in one second; as fast as it goes by default. `batch` records make a message. The broker may be away for
    `patience` seconds. `on_row` is called after each row with the bytes read and the report so far.

    `ReplayError` when the file or the arguments cannot be used, `ReplayStoppedError` when the broker refused
    or did not acknowledge something.
    """
    report = ReplayReport()
    sender = _Sender(device, report, batch, patience)
    pace = _Pace(speed)
    line = 1
    try:
        for row in read_rows(
            file, time_column=time_column, time_zone=time_zone, points=points, rename=rename or {}
        ):
            line = row.line
            report.rows += 1
            report.ambiguous += row.ambiguous
            if row.record is None:
                report.skipped.append((row.line, row.reason))
            else:
                pace.wait(row.record[0])
                sender.add(row.record)
            if on_row is not None:
                on_row(row.position, report)
        sender.finish()
    except DeviceError as error:
        raise ReplayStoppedError(line, report, device.unacknowledged, error) from error
    return report


class _Sender:
    """Makes messages of records, and waits while too many are on their way."""

    def __init__(self, device: Device, report: ReplayReport, batch: int, patience: float) -> None:
        self._device = device
        self._report = report
        self._batch = batch
        self._patience = patience
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        self._records.append(record)
        if len(self._records) >= self._batch:
            self._send()

    def finish(self) -> None:
        if self._records:
            self._send()
        self._device.flush(self._patience)

    def _send(self) -> None:
        if self._batch == 1:
            [(at, values)] = self._records
            self._device.publish(values, at=at)
        else:
            self._device.publish_many(self._records)
        self._report.messages += 1
        self._report.values += sum(len(values) for _, values in self._records)
        self._records.clear()
        self._device.flush(self._patience, down_to=IN_FLIGHT)  # also tells of what was refused


class _Pace:
    """Holds a record back until its time has come, counted from the first one."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._start: tuple[datetime, float] | None = None

    def wait(self, at: datetime) -> None:
        if self._speed is None:
            return
        if self._start is None:
            self._start = (at, time.monotonic())
        first, began = self._start
        due = began + (at - first).total_seconds() / self._speed
        time.sleep(max(0.0, due - time.monotonic()))
