"""Energy of the fake platform's building: figures that are always the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from tests.analytics_ui.fake_building import (
    Answer,
    FakeBuilding,
    completeness,
    interval_of,
    now,
)


class FakeEnergy(FakeBuilding):
    """What its meters tell."""

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
        begin, end = interval_of(query)
        days = []
        day = begin.astimezone(self.zone).date()
        while day < min(end, now()).astimezone(self.zone).date():
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
        begin, end = interval_of(query)
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
        while day < min(end, now()).astimezone(self.zone).date():
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
