"""Every page of the analytics UI, and its figures as the API answers them to a program of the same tenant.

Periods are whole days that are over, so that page and API speak of the same; what is live is held against
what was measured at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from insula_analytics_ui.heatmap import weekday_text
from insula_analytics_ui.times import local_text, milliseconds, zone_of
from insula_analytics_ui.words import number_text
from insula_platform.demo.buildings import MARIA, TENANTS, DemoTenant
from tests.analytics_ui.on_page import CHART, cells, number
from tests.e2e.demo import SOON, Program
from tests.e2e.heard import Heard
from tests.waiting import eventually

LIVE = 90.0
"""Seconds after which a page that shows what is now must have caught up on a busy machine."""

ROOM = 3
"""The room that is looked at alone: the third of each tenant, a meeting room and a studio."""


@dataclass(frozen=True)
class Visitor:
    """Somebody at a page of the UI, the program that asks the API, and all that the browser was sent."""

    page: Page
    api: Program
    tenant: DemoTenant
    heard: Heard
    ui: str
    now: datetime

    def days(self, count: int) -> dict[str, str]:
        """The last whole days by the building's clock, as pages and API take them."""
        local = self.now.astimezone(zone_of(self.tenant.time_zone))
        end = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return {"from": (end - timedelta(days=count)).isoformat(), "to": end.isoformat()}

    def go(self, path: str, **query: str | int) -> None:
        """Set out for a page; it is not there yet."""
        self.page.goto(f"{self.ui}/{path}?{urlencode(query)}", wait_until="commit")

    def number(self, label: str, value: str, note: str = "") -> None:
        """A card of the page has this value, and this beneath it."""
        number(self.page, label, value, note, timeout=SOON)

    @property
    def building(self) -> int:
        """The id of the building."""
        return int(self.api.items("spaces")[0]["building_id"])

    @property
    def room(self) -> tuple[int, str]:
        """The id and the name of the room that is looked at alone."""
        name = self.tenant.rooms[ROOM - 1].name
        return self.api.rooms()[name], name

    def points(self, *names: str) -> list[int]:
        """The ids of that room's points of these names."""
        found = {each["name"]: each["point"] for each in self.api.items(f"latest?space={self.room[0]}")}
        return [int(found[name]) for name in names]

    def analysis(self, path: str, days: int, **query: str | int) -> dict[str, Any]:
        """What the API answers for the building and the last whole days."""
        asked = {"building": self.building, **self.days(days), **query}
        return self.api.get(f"analytics/{path}?{urlencode(asked)}")

    def recent(self, point: int) -> set[str]:
        """The values of a point in the last minutes, as pages write them."""
        now = datetime.now(UTC)
        asked = {"point": point, "from": (now - timedelta(minutes=10)).isoformat(), "to": now.isoformat()}
        values = {each["value"] for each in self.api.items(f"readings?{urlencode(asked)}")}
        return {number_text(value, 0 if abs(value) >= 100 else 1) for value in values}


class Visit(NamedTuple):
    """A page: its picture's name, its path and query, and what holds on it."""

    name: str
    path: str
    query: Callable[[Visitor], dict[str, Any]]
    holds: Callable[[Visitor], None]


def has_history(visitor: Visitor) -> bool:
    """Whether three weeks of what the sensors tell of their past are stored, of every point."""
    found = visitor.analysis("data-quality", 21, limit=100)
    days = [day for day in found["days"] if day["expected"]]
    full = 21 * 96 * 0.99  # they tell of a reading in a quarter of an hour
    return len(days) >= 21 and all(point["readings"] >= full for point in found["items"])


def names_of(tenant: DemoTenant) -> set[str]:
    """What only this tenant calls its own."""
    people = {word for person in tenant.people if person[:2] != MARIA for word in person[:2]}
    rooms = {room.name for room in tenant.rooms if room.is_used}
    return {tenant.name, tenant.site, tenant.building, tenant.time_zone, *rooms, *people}


def keeps_to_itself(visitor: Visitor, *more: str) -> None:
    """The window shows, and was sent so far, names of its own tenant and none of the other (nor `more`)."""
    (other,) = (tenant for tenant in TENANTS if tenant is not visitor.tenant)
    own, foreign = names_of(visitor.tenant), names_of(other) | set(more)
    assert visitor.heard.words(own) >= {visitor.tenant.name, visitor.tenant.building}
    assert visitor.heard.words(foreign) == set()
    expect(visitor.page.get_by_text(visitor.tenant.name, exact=True)).to_be_visible(timeout=SOON)
    text = visitor.page.locator("body").inner_text()
    assert {name for name in foreign if name in text} == set()


def overview(visitor: Visitor) -> None:
    """A row for the building."""
    page, tenant = visitor.page, visitor.tenant
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=tenant.building, exact=True)).first
    expect(row).to_be_visible(timeout=SOON)
    spaces = visitor.api.items("spaces")
    assert row.locator("td").first.inner_text() == str(len(spaces))
    eventually(
        lambda: row.locator("td").nth(3).inner_text() == online(visitor),
        seconds=LIVE,
        what="the devices online",
    )
    now = datetime.now(UTC)
    week = {"from": (now - timedelta(days=7)).isoformat(), "to": now.isoformat(), "limit": 1}
    share = visitor.analysis("data-quality", 7, **week)["completeness"]["share"]
    shown = float(row.locator("td").last.inner_text().removesuffix("\u202f%"))
    assert shown == pytest.approx(100 * share, abs=0.2)  # asked a moment apart


def online(visitor: Visitor) -> str:
    """The devices in rooms that are online, of how many."""
    placed = [device for device in visitor.api.items("devices") if device["space_id"]]
    return f"{sum(device['presence'] == 'online' for device in placed)} / {len(placed)}"


def building(visitor: Visitor) -> None:
    """A tile a room, with what it measures now."""
    page = visitor.page
    for room in visitor.tenant.rooms:
        tile = page.locator(".in-tile").filter(has=page.get_by_text(room.name, exact=True))
        expect(tile).to_be_visible(timeout=SOON)
        if room.is_used:
            asked = visitor.api.items(f"latest?space={visitor.api.rooms()[room.name]}")
            (point,) = (each["point"] for each in asked if each["name"] == "temperature")
            shown = tile.locator(".in-tile-value").first.inner_text().removesuffix(" °C")
            assert shown in visitor.recent(point), room.name
    label = page.locator(".in-value", has=page.get_by_text("Devices online", exact=True))
    eventually(
        lambda: label.locator(".in-number").inner_text().strip() == online(visitor),
        seconds=LIVE,
        what="the devices online",
    )


def room(visitor: Visitor) -> None:
    """What the room measures now, and a chart of each quantity."""
    page, (space, name) = visitor.page, visitor.room
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=SOON)
    (stored,) = (each for each in visitor.api.items("spaces") if each["id"] == space)
    facts = f"{number_text(stored['area'], 0)} m² · for {stored['capacity']} people"
    expect(page.get_by_text(facts)).to_be_visible()
    for label, point, sign in zip(
        ("Air temperature", "CO₂", "Relative humidity"),
        visitor.points("temperature", "co2", "humidity"),
        ("°C", "ppm", "%"),
        strict=True,
    ):
        card = page.locator(".in-value", has=page.get_by_text(label, exact=True))
        value = card.locator(".in-number").inner_text().strip().removesuffix(f" {sign}")
        assert value in visitor.recent(point), label
    expect(page.locator(CHART)).to_have_count(4, timeout=SOON)


def explorer(visitor: Visitor) -> None:
    """Two points together, and the same as a table."""
    page, (_space, name) = visitor.page, visitor.room
    expect(page.locator(CHART)).to_have_count(2, timeout=SOON)
    page.get_by_text("Table", exact=True).click()
    rows = cells(page, 0, timeout=SOON)
    zone = zone_of(visitor.tenant.time_zone)
    expected: dict[str, list[str]] = {}
    for point in visitor.points("temperature", "co2"):
        asked = {
            "point": point,
            **visitor.days(7),
            "bucket": "30m",
            "aggregate": "mean",
            "time_zone": zone.key,
        }
        for each in visitor.api.items(f"readings?{urlencode(asked)}"):
            value = each["value"]
            at = local_text(milliseconds(datetime.fromisoformat(each["time"])), zone)
            expected.setdefault(at, []).append(number_text(value, 0 if abs(value) >= 100 else 1))
    assert len(rows) > 5
    assert rows == [[at, *values] for at, values in expected.items()][: len(rows)], name


def comfort(visitor: Visitor) -> None:
    """Occupied hours out of their band, of all rooms together."""
    spaces = visitor.analysis("comfort", 21)["spaces"]
    visitor.number("Rooms judged", str(len(spaces)))
    for label, kind in (("Out of band", "temperature"), ("Too much CO₂", "co2")):
        found = [space[kind] for space in spaces if space[kind]]
        hours = sum(each["hours"] for each in found)
        out = sum(each["below"] + each["above"] for each in found)
        assert hours > 0
        note = f"{number_text(out, 0)} of {number_text(hours, 0)} occupied hours"
        visitor.number(label, f"{number_text(100 * out / hours, 1)} %", note)
    expect(visitor.page.locator(CHART)).to_have_count(2, timeout=SOON)
    told = {row[0]: row for row in cells(visitor.page, 0, timeout=SOON)}
    assert set(told) == {space["name"] for space in spaces}
    for space in spaces:
        assert told[space["name"]][2:4] == [space["category"], f"{round(space['hours'])}"]


def occupancy(visitor: Visitor) -> None:
    """How much rooms are used, and in which hour of the week the most."""
    found = visitor.analysis("occupancy", 21, limit=100)
    visitor.number("In use", f"{number_text(100 * found['share_in_use'], 1)} %", "of the hours observed")
    hours = [
        (share or 0, day, hour)
        for day, shares in enumerate(found["heat_map"])
        for hour, share in enumerate(shares)
    ]
    most = max(share for share, _day, _hour in hours)
    assert 0 < most <= 1
    _share, day, hour = next(each for each in hours if each[0] == most)
    note = f"{number_text(100 * most, 0)} % of the rooms' time in use"
    visitor.number("Busiest hour", f"{weekday_text(day)} {hour:02d}:00", note)
    visitor.number("Rooms observed", str(found["observed"]), f"of {found['spaces']} rooms")
    used = max(found["items"], key=lambda space: space["share_in_use"] or 0)
    bars = visitor.page.locator(CHART).nth(1)
    expect(
        bars.get_by_text(f"{number_text(100 * used['share_in_use'], 0)} %", exact=True).first
    ).to_be_visible(timeout=SOON)


def energy(visitor: Visitor) -> None:
    """What the building consumed, when, and what of it while nobody was there."""
    found = visitor.analysis("energy", 21)
    load = visitor.analysis("energy/profile", 21, carrier="electricity")["load"]
    (whole,) = found["buildings"]
    area = f"{number_text(whole['per_area'], 1)} kWh/m² of {number_text(whole['area'], 0)} m²"
    visitor.number("Consumption", f"{number_text(whole['consumption'], 0)} kWh", area)
    base = f"{number_text(100 * load['base_share'], 0)} % of the consumption"
    visitor.number("Base load", f"{number_text(load['base'], 1)} kW", base)
    at = local_text(milliseconds(datetime.fromisoformat(load["peak_at"])), zone_of(visitor.tenant.time_zone))
    visitor.number("Peak", f"{number_text(load['peak'], 1)} kW", at)
    closed, hours = whole["closed"], found["opening_hours"]
    visitor.number(
        "While closed",
        f"{number_text(100 * closed['share'], 0)} %",
        f"{number_text(100 * closed['share_of_time'], 0)} % of the time; "
        f"open {hours['opens']}\u2013{hours['closes']}",
    )
    visitor.number("Cost", f"{number_text(whole['cost']['total'], 0)} {whole['cost']['currency']}")
    visitor.number("CO₂e", f"{number_text(whole['emissions']['co2e'], 0)} kg")
    told = [(row[0].removeprefix("└ "), float(row[1])) for row in cells(visitor.page, 0, timeout=SOON)]
    assert sorted(told) == sorted((each["name"], round(each["consumption"], 1)) for each in found["meters"])


def data_quality(visitor: Visitor) -> None:
    """How complete the data is, and how many points have a problem."""
    found = visitor.analysis("data-quality", 7, limit=1)
    complete = found["completeness"]
    missing = number_text(complete["expected"] - complete["present"], 0)
    visitor.number(
        "Complete",
        f"{number_text(100 * complete['share'], 1)} %",
        f"{missing} of {number_text(complete['expected'], 0)} readings missing",
    )
    visitor.number(
        "Points with a problem", str(found["with_problems"]), f"of {number_text(found['points'], 0)} points"
    )
    expect(visitor.page.locator(CHART)).to_have_count(1, timeout=SOON)


def devices(visitor: Visitor) -> None:
    """How many devices are online, and which there are."""
    page = visitor.page
    label = page.get_by_role("radio", name="online")
    expect(label).to_be_visible(timeout=SOON)
    eventually(
        lambda: label.inner_text().strip().endswith(f"online {online(visitor).split(' /')[0]}"),
        seconds=LIVE,
        what="the devices online",
    )
    known = {device["name"]: device["id"] for device in visitor.api.items("devices")}
    told = {row[0] for row in cells(page, 0, timeout=SOON)}
    assert len(told) > 5
    assert told <= set(known)


PAGES = (
    Visit("overview", "", lambda _visitor: {}, overview),
    Visit("building", "building", lambda visitor: {"building": visitor.building}, building),
    Visit("room", "space", lambda visitor: {"space": visitor.room[0], **visitor.days(3)}, room),
    Visit(
        "explorer",
        "explorer",
        lambda visitor: {
            "points": ",".join(map(str, visitor.points("temperature", "co2"))),
            **visitor.days(7),
        },
        explorer,
    ),
    Visit("comfort", "comfort", lambda visitor: {"building": visitor.building, **visitor.days(21)}, comfort),
    Visit(
        "occupancy",
        "occupancy",
        lambda visitor: {"building": visitor.building, **visitor.days(21)},
        occupancy,
    ),
    Visit("energy", "energy", lambda visitor: {"building": visitor.building, **visitor.days(21)}, energy),
    Visit(
        "data-quality",
        "data-quality",
        lambda visitor: {"building": visitor.building, **visitor.days(7)},
        data_quality,
    ),
    Visit("devices", "devices", lambda visitor: {"building": visitor.building}, devices),
)
