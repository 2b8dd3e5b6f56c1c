"""What the fake platform answers about analytics: figures that are always the same, of rooms that it has.

Acme has everything: comfort, use (a measured, a counted, an inferred and a never used room), two electricity
meters and a heat meter, problems and findings. The others have less: what is missing is a case as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Answer = dict[str, Any]
Rooms = Sequence[tuple[int, str, str]]
"""Id, name and storey of each room."""


def completeness(share: float | None, expected: int = 10_000) -> Answer:
    """As answers carry it."""
    if share is None:
        return {"expected": 0, "present": 0, "share": None, "estimated": False}
    return {"expected": expected, "present": round(expected * share), "share": share, "estimated": False}


class FakeAnalytics:
    """The analytics of one building."""

    def __init__(self, building: str, zone: str, rooms: Rooms, first_point: int, *, rich: bool) -> None:
        self.building = building
        self.zone = ZoneInfo(zone)
        self.rooms = rooms
        self.first_point = first_point
        self.rich = rich

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """The answer at `path` beneath the tenant's analytics, and its meters."""
        name = path.replace("/", "_").replace("-", "_")
        answer: Answer = getattr(self, f"_{name}")(query)
        return answer

    def _inside(self, query: Mapping[str, str]) -> list[tuple[int, tuple[int, str, str]]]:
        """The rooms of the place asked for, each with where it stands among all."""
        asked = query.get("space")
        return [(index, room) for index, room in enumerate(self.rooms) if asked in {None, str(room[0])}]

    # Comfort

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
        begin, end = _interval(query)
        hours = []
        for time in _hours(begin, min(end, _now())):
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
                    "time": _text(time),
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
        begin, end = _interval(query)
        index, room = next(
            (index, room) for index, room in enumerate(self.rooms) if str(room[0]) == query["space"]
        )
        days = []
        day = begin.astimezone(self.zone).date()
        while day <= min(end, _now()).astimezone(self.zone).date():
            used = day.isoweekday() < 6 and index % 4 != 3
            first = datetime(day.year, day.month, day.day, 8, 15 * (day.day % 4), tzinfo=self.zone)
            days.append(
                {
                    "day": day.isoformat(),
                    "hours_observed": 24.0,
                    "hours_in_use": 5.5 if used else 0.0,
                    "first_use": _text(first) if used else None,
                    "last_use": _text(first + timedelta(hours=9)) if used else None,
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

    # Energy

    def _meters(self, _: Mapping[str, str]) -> Answer:
        meters = [
            {"id": 1, "name": "Main", "carrier": "electricity"},
            {"id": 3, "name": "Heat", "carrier": "heat"},
        ]
        return {"items": meters if self.rich else [], "next_cursor": None}

    def _energy(self, query: Mapping[str, str]) -> Answer:
        main = self._consumption("Main", "electricity", 4200.0, 0.41)
        light = self._consumption("Lighting", "electricity", 1260.0, 0.2)
        heat = self._consumption("Heat", "heat", 9100.0, 0.66)
        rest = {"building": 1, "storey": None, "space": None, "equipment": None}
        return {
            "opening_hours": {"weekdays": [1, 2, 3, 4, 5], "opens": "07:00", "closes": "19:00"},
            "meters": [
                light
                | rest
                | {"meter": 2, "point": 2, "submeter_of": 1, "submetered": None, "unmetered": None},
                main
                | rest
                | {"meter": 1, "point": 1, "submeter_of": None, "submetered": 1260.0, "unmetered": 2940.0},
                heat
                | rest
                | {"meter": 3, "point": 3, "submeter_of": None, "submetered": None, "unmetered": None},
            ],
            "spaces": [],
            "storeys": [],
            "buildings": [
                main
                | {
                    "id": 1,
                    "name": self.building,
                    "whole": True,
                    "meters": [1],
                    "area": 600.0,
                    "per_area": 7.0,
                },
                heat
                | {
                    "id": 1,
                    "name": self.building,
                    "whole": True,
                    "meters": [3],
                    "area": 600.0,
                    "per_area": 15.17,
                },
            ],
            "completeness": completeness(0.995),
            "complete_until": query["to"],
        }

    def _consumption(self, name: str, carrier: str, consumption: float, closed: float) -> Answer:
        return {
            "name": name,
            "carrier": carrier,
            "unit": "kWh",
            "consumption": consumption,
            "load": self._load(),
            "closed": {
                "night": consumption * closed / 2,
                "weekend": consumption * closed / 2,
                "share": closed,
                "share_of_time": 0.64,
            },
            "cost": {
                "currency": "EUR",
                "energy": consumption / 4,
                "standing": 10.0,
                "total": consumption / 4 + 10,
                "by_period": {},
                "priced_share": 1.0,
            }
            if carrier == "electricity"
            else None,
            "emissions": {"co2e": consumption / 5, "factored_share": 1.0, "sources": ["Supplier"]},
            "completeness": completeness(0.995),
        }

    def _load(self) -> Answer:
        return {
            "hours": 700,
            "mean": 6.0,
            "base": 2.1,
            "base_share": 0.35,
            "peak": 21.4,
            "peak_at": "2026-11-19T09:00:00Z",
        }

    def _energy_profile(self, query: Mapping[str, str]) -> Answer:
        begin, end = _interval(query)
        days = []
        day = begin.astimezone(self.zone).date()
        while day < min(end, _now()).astimezone(self.zone).date():
            work = day.isoweekday() < 6
            measured = 0.5 if day.day == 11 else 0.0 if day.day == 12 else 1.0
            amount = (172.0 if work else 68.0) * measured
            days.append(
                {
                    "date": day.isoformat(),
                    "consumption": amount if measured else None,
                    "peak": 21.0 if measured else None,
                    "measured": measured,
                }
            )
            day += timedelta(days=1)

        def typical(most: float, count: int) -> list[Answer]:
            found = []
            for hour in range(24):
                mean = 2.3 + most * max(0.0, math.sin((hour - 6) / 13 * math.pi))
                found.append(
                    {
                        "hour": hour,
                        "days": count,
                        "mean": round(mean, 2),
                        "low": round(mean * 0.8, 2),
                        "median": round(mean, 2),
                        "high": round(mean * 1.25, 2),
                    }
                )
            return found

        opened, closed = typical(16.0, 21), typical(1.6, 9)
        week = [[hour["mean"] for hour in (opened if number < 5 else closed)] for number in range(7)]
        return {
            "carrier": query.get("carrier", "electricity"),
            "unit": "kWh",
            "time_zone": self.zone.key,
            "meters": [1],
            "whole": True,
            "opening_hours": {"weekdays": [1, 2, 3, 4, 5], "opens": "07:00", "closes": "19:00"},
            "week": week,
            "open_day": opened,
            "closed_day": closed,
            "days": days,
            "load": self._load(),
            "completeness": completeness(0.95),
            "complete_until": query["to"],
        }

    def _energy_degree_days(self, query: Mapping[str, str]) -> Answer:
        months = [("2026-09", 60.0, 21.0), ("2026-10", 190.0, 2.0), ("2026-11", 280.0, 0.0)]
        return {
            "building": 1,
            "time_zone": self.zone.key,
            "outdoor_point": 9,
            "method": "hourly",
            "method_name": "Hourly",
            "heating_base": 15.5,
            "cooling_base": 18.3,
            "heating": 530.0,
            "cooling": 23.0,
            "missing_days": 2,
            "months": [
                {"month": month, "heating": heating, "cooling": cooling, "days": 30, "missing_days": 0}
                for month, heating, cooling in months
            ],
            "days": [],
            "completeness": completeness(0.99),
            "complete_until": query["to"],
        }

    def _energy_baseline(self, query: Mapping[str, str]) -> Answer:
        begin, end = _interval(query)
        answer = {
            "carrier": query["carrier"],
            "unit": "kWh",
            "time_zone": self.zone.key,
            "meters": [1],
            "whole": True,
            "outdoor_point": 9,
            "model": "Time of week and temperature",
            "baseline_from": query["baseline_from"],
            "baseline_to": query["baseline_to"],
            "occupied_hours": 60,
            "temperature": [],
            "monthly": None,
            "completeness": completeness(0.97),
            "complete_until": query["to"],
        }
        first = datetime.fromisoformat(query["baseline_from"])
        if datetime.fromisoformat(query["baseline_to"]) - first < timedelta(days=14):
            return answer | {"hourly": None, "problem": "too little", "savings": None, "cusum": []}
        cusum, saved = [], 0.0
        day = begin.astimezone(self.zone).date()
        while day < min(end, _now()).astimezone(self.zone).date():
            predicted = 180.0 if day.isoweekday() < 6 else 70.0
            actual = predicted - 12 + 9 * math.sin(day.day)
            saved += predicted - actual
            cusum.append(
                {
                    "date": day.isoformat(),
                    "predicted": predicted,
                    "actual": round(actual, 1),
                    "cumulative": round(saved, 1),
                }
            )
            day += timedelta(days=1)
        return answer | {
            "problem": None,
            "hourly": {
                "observations": 8712,
                "parameters": 175,
                "cv_rmse": 0.142,
                "nmbe": 0.002,
                "r_squared": 0.91,
                "cv_rmse_limit": 0.3,
                "nmbe_limit": 0.1,
                "meets_limits": True,
            },
            "savings": {
                "predicted": 4530.0,
                "actual": 4170.0,
                "savings": 360.0,
                "fraction": 0.0795,
                "uncertainty": [
                    {"confidence": 0.68, "fraction": 0.2, "low": 290.0, "high": 430.0},
                    {"confidence": 0.9, "fraction": 0.33, "low": 241.0, "high": 479.0},
                ],
                "meets_guideline": True,
                "hours": 700,
                "extrapolated_share": 0.0,
            },
            "cusum": cusum,
        }

    def _energy_comparison(self, query: Mapping[str, str]) -> Answer:
        def period(begin: str, end: str, consumption: float) -> Answer:
            return {
                "starting": begin,
                "ending": end,
                "consumption": consumption,
                "per_area": consumption / 600,
                "heating_degree_days": 280.0,
                "cooling_degree_days": 0.0,
                "per_area_and_heating_degree_day": None,
                "cost": consumption / 4,
                "currency": "EUR",
                "co2e": consumption / 5,
                "completeness": completeness(0.99),
            }

        return {
            "heating_base": 15.5,
            "cooling_base": 18.3,
            "buildings": [
                {
                    "building": 1,
                    "name": self.building,
                    "carrier": query["carrier"],
                    "unit": "kWh",
                    "whole": True,
                    "area": 600.0,
                    "now": period(query["from"], query["to"], 4200.0),
                    "before": period(query["against_from"], query["against_to"], 4515.0),
                    "change": -0.0698,
                    "change_per_degree_day": -0.05,
                    "rank": 1,
                }
            ],
            "completeness": completeness(0.99),
            "complete_until": query["to"],
        }

    # Data quality, findings, forecasts

    def _data_quality(self, query: Mapping[str, str]) -> Answer:
        begin, end = _interval(query)
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
        hour = _now().replace(minute=0, second=0, microsecond=0)
        values = []
        for number in range(24):
            time = hour + timedelta(hours=number)
            value = 21 + 2 * math.sin((time.hour - 7) / 12 * math.pi)
            width = 0.3 + number / 24
            values.append(
                {
                    "time": _text(time),
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
                    "made_at": _text(hour),
                    "complete_until": _text(hour),
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


def _interval(query: Mapping[str, str]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(query["from"]), datetime.fromisoformat(query["to"])


def _hours(begin: datetime, end: datetime) -> list[datetime]:
    first = begin.replace(minute=0, second=0, microsecond=0)
    return [first + timedelta(hours=number) for number in range(int((end - first) / timedelta(hours=1)))]


def _now() -> datetime:
    return datetime.now(UTC)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
