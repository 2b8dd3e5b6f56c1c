"""Keep what Sparkplug births tell of a device's metrics, in the transaction that stores the batch.

So a batch that is not stored has taught nothing, and one that comes again is read with what was known before
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from insula_tenants.telemetry.sql import statement


@dataclass(frozen=True, slots=True)
class NewMetric:
    """A metric as a birth tells it."""

    name: str
    alias: int | None
    datatype: int
    since: datetime | None
    """When the alias came to mean this metric; None when it never meant another."""


@dataclass(frozen=True, slots=True)
class NewBirth:
    """What a birth changes in what is known of a device."""

    device_id: int
    metrics: list[NewMetric]
    forgotten: list[str]
    """Names of metrics whose alias another has now."""


def write_birth(connection: psycopg.Connection, birth: NewBirth) -> None:
    """Bring the device's metrics up to date, as the tenant's role.

    Two processes may tell of one device at a time: an alias or a name that the other one took in between
    stays the other's.
    """
    names = [metric.name for metric in birth.metrics]
    aliases = [metric.alias for metric in birth.metrics]
    connection.execute(
        statement("forget_metrics"),
        {
            "device_id": birth.device_id,
            "names": names + birth.forgotten,
            "aliases": [alias for alias in aliases if alias is not None],
        },
    )
    connection.execute(
        statement("insert_metrics"),
        {
            "device_id": birth.device_id,
            "names": names,
            "aliases": aliases,
            "datatypes": [metric.datatype for metric in birth.metrics],
            "since": [metric.since for metric in birth.metrics],
        },
    )
