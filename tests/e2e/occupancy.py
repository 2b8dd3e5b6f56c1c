"""The recorded office: read beside the project, with the values exactly as the files have them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

FILES = ("datatest.csv", "datatest2.csv", "datatraining.csv")
POINTS = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio", "Occupancy")
ZONE = ZoneInfo("Europe/Brussels")

Reading = tuple[str, datetime, float]
"""Point, time, value."""


def folder() -> Path:
    """`../shared/data/occupancy` beside the project, wherever the checkout is."""
    for parent in Path(__file__).resolve().parents:
        if (found := parent / "shared" / "data" / "occupancy").is_dir():
            return found
    raise AssertionError("the recorded data is not beside the project: ../shared/data/occupancy")


def read(name: str) -> list[Reading]:
    """Every value of a file, read with the standard library alone."""
    readings: list[Reading] = []
    with (folder() / name).open(newline="") as file:
        rows = csv.reader(file)
        header = ["row", *next(rows)]
        for row in rows:
            record = dict(zip(header, row, strict=True))
            time = datetime.fromisoformat(record["date"]).replace(tzinfo=ZONE).astimezone(UTC)
            readings += [(point, time, float(record[point])) for point in POINTS]
    return readings
