"""Comfort and use of the fake platform's rooms: figures that are always the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from tests.analytics_ui.fake_building import (
    Answer,
    FakeBuilding,
    completeness,
    hours_of,
    interval_of,
    now,
    text_of,
)


class FakeRooms(FakeBuilding):
    """What is told of comfort and use."""

    def _comfort(self, query: Mapping[str, str]) -> Answer:
        return {
            "spaces": [self._space(index, room) for index, room in self._inside(query)],
            "occupied": self._occupied(query),
            "completeness": completeness(0.982),
            "complete_until": query["to"],
        }

    def _occupied(self, query: Mapping[str, str]) -> Answer:
        by = query.get("occupied", "schedule")
        return {"by": by, "from_hour": 8, "until_hour": 18, "days": [1, 2, 3, 4, 5]}

    def _space(self, index: int, room: tuple[int, str, str]) -> Answer:
        out = 4 + 22 * index
        judged = {
            "hours": 200.0,
            "by_category": {
                "I": 200.0 - 2 * out,
                "II": float(out),
                "III": out / 2,
                "IV": out / 4,
                "beyond": out / 4,
            },
            "below": out / 4,
            "above": 3 * out / 4,
            "out_of_band": out / 200,
            "not_measured": 20.0,
            "outside_limits": 0.0,
        }
        co2 = judged | {"mean": 640.0 + 90 * index, "highest": 980.0 + 310 * index}
        return {
            "space": room[0],
            "name": room[1],
            "storey": room[2],
            "building": self.building,
            "time_zone": self.zone.key,
            "category": "II",
            "occupied_by": "schedule",
            "hours": 220.0,
            "temperature": judged | {"mean": 22.4, "lowest": 19.1, "highest": 27.6},
            "pmv": judged | {"pmv": 0.12 + 0.1 * index, "ppd": 6.4 + index},
            "adaptive": judged if self.rich else None,
            "adaptive_ashrae": None,
            "co2": co2 if index % 2 == 0 and self.rich else None,
            "overheating": {
                "hours": 200.0,
                "above_26": 5.0 + 10 * index,
                "above_28": float(index),
                "tm52": {
                    "hours": 200.0,
                    "exceedance": 6.0,
                    "exceedance_share": 0.03,
                    "worst_day": "2026-07-02",
                    "worst_day_weight": 7.0,
                    "largest": 2.1,
                    "failed": [1, 2] if index == 3 else [],
                    "overheats": index == 3,
                },
            },
            "assumed": [
                {"what": "humidity", "value": "50", "unit": "%", "hours": 220.0, "detail": "…"},
                {"what": "air_speed", "value": "0.1", "unit": "m/s", "hours": 220.0, "detail": "…"},
                {"what": "outdoor_co2", "value": "400", "unit": "ppm", "hours": 220.0, "detail": "…"},
            ],
            "completeness": completeness(0.99 - 0.03 * index),
        }

    def _comfort_hours(self, query: Mapping[str, str]) -> Answer:
        room = next(room for room in self.rooms if str(room[0]) == query["space"])
        begin, end = interval_of(query)
        hours = []
        for time in hours_of(begin, min(end, now())):
            local = time.astimezone(self.zone)
            occupied = local.isoweekday() < 6 and 8 <= local.hour < 18
            # The sensor was away on Sundays: a gap.
            away = local.isoweekday() == 7
            warm = round(
                21.5 + 4.2 * max(0.0, math.sin((local.hour - 7) / 12 * math.pi)) + room[0] % 3 * 0.4, 2
            )
            people = 480.0 + (620 if occupied else 0) * abs(math.sin(local.hour + local.day))
            hours.append(
                {
                    "time": text_of(time),
                    "occupied": occupied,
                    "temperature": None if away else warm,
                    "humidity": None,
                    "co2": None if away else round(people, 1),
                    "outdoor_running_mean": 14.0,
                    "clothing": 0.7,
                    "lower": 20.0,
                    "upper": 26.0 if local.day % 2 else 25.0,
                    "temperature_category": "II",
                    "pmv": None if away else round((warm - 23) / 4, 2),
                    "ppd": 8.0,
                    "pmv_category": "II",
                    "adaptive_lower": 20.4,
                    "adaptive_upper": 26.4,
                    "adaptive_category": "II",
                    "co2_category": "I",
                }
            )
        return {
            "space": room[0],
            "name": room[1],
            "time_zone": self.zone.key,
            "category": "II",
            "hours": hours,
            "occupied": self._occupied(query),
            "assumed": [
                {"what": "outdoor_co2", "value": "400", "unit": "ppm", "hours": 220.0, "detail": "…"}
            ],
            "completeness": completeness(0.9),
            "complete_until": query["to"],
        }

    # Occupancy

    def _occupancy(self, query: Mapping[str, str]) -> Answer:
        uses = [self._use(index, room) for index, room in self._inside(query)]
        return {
            "items": uses,
            "next_cursor": None,
            "bucket_seconds": 900,
            "spaces": len(uses),
            "observed": sum(use["share_in_use"] is not None for use in uses),
            "never_used": [use["space"] for use in uses if use["never_used"]],
            "share_in_use": 0.2125,
            "heat_map": self._week(1.0),
            "completeness": completeness(0.968),
            "complete_until": query["to"],
        }

    def _week(self, scale: float) -> list[list[float | None]]:
        """Busy on Tuesdays at ten; nothing is known of Sunday's small hours."""
        week: list[list[float | None]] = []
        for day in range(7):
            hours: list[float | None] = []
            for hour in range(24):
                work = day < 5 and 7 <= hour < 19
                share = 0.75 * math.exp(-((hour - 10) ** 2) / 18) if work else 0.0
                hours.append(
                    None if day == 6 and hour < 6 else round(scale * share * (1.2 if day == 1 else 1), 4)
                )
            week.append(hours)
        return week

    def _use(self, index: int, room: tuple[int, str, str]) -> Answer:
        source = ("measured", "counted", "inferred", "measured")[index % 4]
        unused = index % 4 == 3
        scale = 0.0 if unused else 1.0 - 0.3 * index
        share = round(0.3 * scale, 4)
        people = {"average": 3.2, "peak": 9.0, "peak_at": None, "average_share": 0.32, "peak_share": 0.9}
        return {
            "space": room[0],
            "name": room[1],
            "brick_class": "Room",
            "storey": 1,
            "building": 1,
            "time_zone": self.zone.key,
            "capacity": 10,
            "area": 24.5,
            "source": source,
            "variant": "co2" if source == "inferred" else None,
            "confidence": {"level": "medium" if source == "inferred" else "high", "reasons": []},
            "comparison": None,
            "hours_observed": 700.0,
            "hours_in_use": round(700 * share, 2),
            "share_in_use": share,
            "never_used": unused,
            "people": people if source == "counted" else None,
            "heat_map": self._week(scale),
            "days_used": 0 if unused else 20,
            "first_use": None if unused else "08:15",
            "last_use": None if unused else "17:45",
            "completeness": completeness(0.97),
        }

    def _occupancy_days(self, query: Mapping[str, str]) -> Answer:
        begin, end = interval_of(query)
        index, room = next(
            (index, room) for index, room in enumerate(self.rooms) if str(room[0]) == query["space"]
        )
        days = []
        day = begin.astimezone(self.zone).date()
        while day <= min(end, now()).astimezone(self.zone).date():
            used = day.isoweekday() < 6 and index % 4 != 3
            first = datetime(day.year, day.month, day.day, 8, 15 * (day.day % 4), tzinfo=self.zone)
            days.append(
                {
                    "day": day.isoformat(),
                    "hours_observed": 24.0,
                    "hours_in_use": 5.5 if used else 0.0,
                    "first_use": text_of(first) if used else None,
                    "last_use": text_of(first + timedelta(hours=9)) if used else None,
                    "peak_people": None,
                }
            )
            day += timedelta(days=1)
        return {"use": self._use(index, room), "days": days, "complete_until": query["to"]}

    def _occupancy_model(self, _: Mapping[str, str]) -> Answer:
        score = {"seconds": 60, "rows": 2665, "occupied": 0.36, "sensitivity": 0.99, "specificity": 0.97}
        return {
            "name": "Use from light, CO2 and temperature",
            "version": 1,
            "kind": "Logistic regression",
            "data": {
                "source": "Candanedo and Feldheim (2016)",
                "licence": "CC BY 4.0",
                "room": "One office in Mons",
                "training": "datatraining.txt",
                "tests": ["datatest.txt", "datatest2.txt"],
                "from": "2015-02-04T17:51:00Z",
                "to": "2015-02-10T09:33:00Z",
                "rows": 8143,
            },
            "intended_use": "A hint where no sensor tells.",
            "limits": ["One office of one building."],
            "variants": [
                {
                    "name": "co2",
                    "needs": ["co2"],
                    "intercept": 0.0,
                    "features": [],
                    "cross_validation": 0.9,
                    "scores": [
                        score | {"data": "datatest.txt", "accuracy": 0.8731},
                        score | {"data": "datatest2.txt", "accuracy": 0.9142},
                    ],
                }
            ],
        }
