"""Data quality, findings and forecasts of the fake platform's points: always the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.analytics_ui.fake_building import (
    Answer,
    FakeBuilding,
    completeness,
    interval_of,
    now,
    text_of,
)


class FakeQuality(FakeBuilding):
    """What is told of its data."""

    def _data_quality(self, query: Mapping[str, str]) -> Answer:
        begin, end = interval_of(query)
        days = [(begin + timedelta(days=number)).date() for number in range((end - begin).days)]
        points = [self._point(index, room, len(days)) for index, room in self._inside(query)]
        return {
            "items": sorted(points, key=lambda point: -point["score"]),
            "next_cursor": None,
            "points": len(points) * 4,
            "with_problems": sum(bool(point["problems"]) for point in points),
            "completeness": completeness(0.9429, 40_320),
            "complete_until": query["to"],
            "days": [
                {"day": day.isoformat(), "expected": 5760, "present": 5431, "share": 0.9429} for day in days
            ],
            "places": [
                {"kind": kind, "id": 1, "name": name, "points": count, "with_problems": 2, "score": 0.2}
                | {"completeness": completeness(0.94)}
                for kind, name, count in (
                    ("tenant", None, 16),
                    ("building", self.building, 16),
                    ("storey", "Ground floor", 8),
                )
            ],
        }

    def _point(self, index: int, room: tuple[int, str, str], days: int) -> Answer:
        kinds: dict[int, list[tuple[str, str]]] = {
            0: [("silent", "serious"), ("gap", "serious")],
            1: [("stuck", "serious")],
            2: [("clock_behind", "minor")],
        }
        problems = kinds.get(index, [])
        stretch = {"from": "2026-11-20T08:14:00Z", "to": "2026-11-20T11:02:00Z", "seconds": 10_080.0}
        share = 0.71 if index == 0 else 0.999
        return {
            "point": self.first_point + index * 10,
            "device": f"room-{index + 1}-temperature",
            "name": "temperature",
            "brick_class": "Zone_Air_Temperature_Sensor",
            "unit": "degC",
            "space": room[0],
            "storey": 1,
            "building": 1,
            "interval": 60.0,
            "interval_source": "stated",
            "readings": 1423,
            "completeness": completeness(share),
            "days": [0.0 if index == 0 and day == days - 1 else share for day in range(days)],
            "gaps": {"count": 3, "seconds": 30_000.0, "longest": 10_080.0, "items": [stretch]}
            if index == 0
            else {"count": 0, "seconds": 0.0, "longest": 0.0, "items": []},
            "stuck": [stretch | {"value": 21.5, "seconds": 93_600.0}] if index == 1 else [],
            "out_of_range": None,
            "clock_offset": 95.0 if index == 2 else 0.4,
            "clock_offset_at": None,
            "problems": [
                {"kind": kind, "severity": severity, "detail": "…", "what_to_do": "…"}
                for kind, severity in problems
            ],
            "score": (0.9, 0.6, 0.2, 0.0)[min(index, 3)],
            "resolution": "1h",
        }

    def _findings(self, _: Mapping[str, str]) -> Answer:
        def finding(number: int, kind: str, severity: str, closed: str | None, **evidence: Any) -> Answer:
            return {
                "id": number,
                "point": self.first_point + 10 * (number - 1),
                "device": f"room-{number}-temperature",
                "name": "temperature",
                "space": self.rooms[number - 1][0],
                "unit": "degC",
                "kind": kind,
                "severity": severity,
                "opened_at": "2026-11-22T04:00:00Z",
                "closed_at": closed,
                "detail": "…",
                "evidence": {
                    "basis": "past",
                    "from": "2026-11-22T04:00:00Z",
                    "to": "2026-11-24T08:00:00Z",
                    "value": 21.5,
                    "expected_low": None,
                    "expected_high": None,
                    "per_day": None,
                }
                | evidence,
            }

        items = [
            finding(
                1,
                "unusual",
                "info",
                "2026-11-22T06:00:00Z",
                value=31.2,
                expected_low=19.5,
                expected_high=24.0,
            ),
            finding(2, "stuck", "critical", None),
            finding(3, "drifting", "warning", None, per_day=0.35),
        ]
        return {
            "items": items if self.rich else [],
            "next_cursor": None,
            "complete_until": "2026-11-24T08:00:00Z" if self.rich else None,
            "completeness": completeness(0.99),
        }

    def _forecasts(self, query: Mapping[str, str]) -> Answer:
        point = int(query["point"])
        answer = {
            "point": point,
            "device": "room-1-temperature",
            "name": "temperature",
            "space": self.rooms[0][0],
            "unit": "degC",
            "made_at": None,
            "complete_until": None,
            "completeness": None,
            "model": None,
            "beats_naive": None,
            "level": None,
            "values": [],
            "backtest": None,
        }
        if not self.rich:
            return {"items": [answer | {"state": "too_short"}]}
        hour = now().replace(minute=0, second=0, microsecond=0)
        values = []
        for number in range(24):
            time = hour + timedelta(hours=number)
            value = 21 + 2 * math.sin((time.hour - 7) / 12 * math.pi)
            width = 0.3 + number / 24
            values.append(
                {
                    "time": text_of(time),
                    "value": round(value, 2),
                    "lower": round(value - width, 2),
                    "upper": round(value + width, 2),
                    "naive": round(value + 0.5, 2),
                }
            )
        scores = {"mae": 0.31, "mase": 0.62, "coverage": 0.91, "pinball": 0.05}
        return {
            "items": [
                answer
                | {
                    "state": "ready",
                    "made_at": text_of(hour),
                    "complete_until": text_of(hour),
                    "completeness": completeness(0.997),
                    "model": "ridge",
                    "beats_naive": True,
                    "level": 0.9,
                    "values": values,
                    "backtest": {
                        "folds": 28,
                        "hours": 670,
                        "season_hours": 168,
                        "model": scores,
                        "naive": scores | {"mae": 0.52, "mase": 1.01},
                    },
                }
            ]
        }
