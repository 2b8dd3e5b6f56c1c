"""Ingest with a fault built in: `python -m tests.chaos.mutants FAULT`. The chaos tests must catch each."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from insula_ingest.service import run
from insula_ingest.transport import MqttSource
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch

_write = TelemetryWriter.write


def stores_after_acknowledging() -> None:
    """A batch is written when the next one comes: the broker is told before."""
    waiting: list[TenantBatch] = []

    def write(self: TelemetryWriter, batches: Iterable[TenantBatch]) -> Any:
        due, waiting[:] = list(waiting), list(batches)
        return _write(self, due)

    TelemetryWriter.write = write  # type: ignore[method-assign]


def never_acknowledges() -> None:
    """The broker sends everything again."""
    MqttSource.acknowledge = lambda _self, _messages: None  # type: ignore[method-assign]


def stores_what_comes_again_beside_the_first() -> None:
    """Times are a microsecond off, as if they were of the receipt."""

    def write(self: TelemetryWriter, batches: Iterable[TenantBatch]) -> Any:
        batches = list(batches)
        for batch in batches:
            batch.readings = {(point, time + 1): value for (point, time), value in batch.readings.items()}
        return _write(self, batches)

    TelemetryWriter.write = write  # type: ignore[method-assign]


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    run()
