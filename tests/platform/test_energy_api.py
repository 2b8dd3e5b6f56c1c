"""Energy over HTTP: one week of a building that is worked out by hand, and a house with its real gaps."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from sqlalchemy import select, text

from insula_platform.people import Account, place_member
from insula_tenants.audit import list_entries
from insula_tenants.building_model.models import Equipment
from insula_tenants.context import TenantContext
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.energy.meters import NewMeter, add_meter
from insula_tenants.energy.tariffs import add_factor, add_tariff
from insula_tenants.errors import Conflict
from insula_tenants.spaces import Building, Places, Space, Storey, ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import Live
from tests.tenants.test_energy_baseline import folder
from tests.waiting import eventually

ACME = "/api/v1/tenants/acme"
BRUSSELS = ZoneInfo("Europe/Brussels")
MONDAY = datetime(2025, 10, 20, tzinfo=BRUSSELS)
"""A week of 169 hours: its Sunday has 25."""
NEXT_MONDAY = datetime(2025, 10, 27, tzinfo=BRUSSELS)
WEEK = {"from": MONDAY.isoformat(), "to": NEXT_MONDAY.isoformat()}


@dataclass(frozen=True)
class Forum:
    """Acme's buildings, by the ids that tests name."""

    building: int
    hall: int
    """A space."""
    lab: int
    """A space on another storey."""
    house: int
    """The recorded house, a building."""
    points: Mapping[str, int]
    meters: Mapping[str, int]


def space_of(session, site: str, building: str, storey: str, level: int, name: str, area: float) -> int:
    space = ensure_space(
        session,
        site=site,
        building=building,
        time_zone="Europe/Brussels",
        storey=storey,
        level=level,
        name=name,
    )
    session.get_one(Space, space).area = area
    return space


@pytest.fixture(scope="module")
def forum(deployment: Deployment) -> Forum:
    """10 kWh an hour while it is open, from 7 to 19 on weekdays, and 4 else: the hall's 3, the lab's 1."""
    context = deployment.acme
    with deployment.databases.tenant(context) as session:
        hall = space_of(session, "Brussels", "Forum", "Ground floor", 0, "Hall", 300.0)
        lab = space_of(session, "Brussels", "Forum", "First floor", 1, "Lab", 100.0)
        kitchen = space_of(session, "Stambruges", "House", "Ground floor", 0, "Kitchen", 20.0)
        building = session.scalars(select(Building).where(Building.name == "Forum")).one()
        building.area = 1000.0
        house = session.scalars(select(Building.id).where(Building.name == "House")).one()
        energy = "Electrical_Energy_Usage_Sensor"
        counters = [
            NewPoint(name, energy, "kWh", "counter", expected_interval=3600) for name in ("main", "lab")
        ]
        counters.append(NewPoint("hall", energy, "Wh", "counter", expected_interval=3600))
        counters.append(NewPoint("spare", energy, "kWh", "counter"))
        counters.append(NewPoint("gas", "Natural_Gas_Usage_Sensor", "m**3", "counter"))
        counters.append(NewPoint("power", "Electric_Power_Sensor", "kW"))
        create_device(session, "board", name="Switchboard", space_id=hall, points=counters)
        outside = [NewPoint("outdoors", "Outside_Air_Temperature_Sensor", "degC")]
        create_device(
            session,
            "recorded",
            name="House",
            space_id=kitchen,
            points=[NewPoint("appliances", energy, "Wh", "counter"), *outside],
        )
        points = {point.name: point.id for point in list_points(session)}
        main = add_meter(session, NewMeter("Main", "electricity", points["main"], building_id=building.id))
        meters = {"main": main.id}
        for name, space in (("hall", hall), ("lab", lab)):
            view = add_meter(
                session,
                NewMeter(name.title(), "electricity", points[name], space_id=space, submeter_of=main.id),
            )
            meters[name] = view.id
        recorded = NewMeter("Appliances", "electricity", points["appliances"], building_id=house)
        meters["appliances"] = add_meter(session, recorded).id
        add_tariff(session, {
            "name": "Day and night", "carrier": "electricity", "building_id": building.id,
            "valid_from": MONDAY.date(), "currency": "EUR", "price": 0.30, "standing_charge": 0.50,
            "periods": [{
                "name": "Night", "weekdays": [1, 2, 3, 4, 5, 6, 7], "starts": "22:00", "ends": "06:00",
                "price": 0.10,
            }],
        })  # fmt: skip
        factor = {"carrier": "electricity", "valid_from": MONDAY.date(), "factor": 0.2, "source": "By hand"}
        add_factor(session, factor)
        found = Forum(building.id, hall, lab, house, points, meters)
    store(deployment, context, {**week_of(points), **recorded_house(points)})
    return found


def week_of(points: Mapping[str, int]) -> dict[tuple[int, int], float]:
    """A reading at each full hour, first and last included; the hall's counter is replaced on Thursday."""
    readings: dict[tuple[int, int], float] = {}
    main, hall, lab = 5000.0, 90_000.0, 0.0
    time = MONDAY.astimezone(UTC)
    while True:
        local = time.astimezone(BRUSSELS)
        for name, value in (("main", main), ("hall", hall), ("lab", lab)):
            readings[points[name], at(time)] = value
        if time == NEXT_MONDAY.astimezone(UTC):
            return readings
        is_open = local.isoweekday() <= 5 and 7 <= local.hour < 19
        main, lab = main + (10.0 if is_open else 4.0), lab + 1.0
        hall = 3000.0 if (local.isoweekday(), local.hour) == (4, 12) else hall + 3000.0
        time += timedelta(hours=1)


def rows_of_the_house() -> list[tuple[datetime, float, float]]:
    """Time, Wh of the appliances in the ten minutes, °C outdoors."""
    with (folder() / "testing.csv").open(newline="") as file:
        return [
            (
                datetime.fromisoformat(row["date"]).replace(tzinfo=BRUSSELS).astimezone(UTC),
                float(row["Appliances"]),
                float(row["T_out"]),
            )
            for row in csv.DictReader(file)
        ]


def recorded_house(points: Mapping[str, int]) -> dict[tuple[int, int], float]:
    readings, total = {}, 0.0
    for time, amount, outdoors in rows_of_the_house():
        total += amount
        readings[points["appliances"], at(time)] = total
        readings[points["outdoors"], at(time)] = outdoors
    return readings


def at(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def store(deployment: Deployment, context: TenantContext, readings: dict[tuple[int, int], float]) -> None:
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([TenantBatch(context, readings)])


@pytest.fixture(scope="module")
def http(live: Live):
    """Ada, who owns acme."""
    token = live.tokens_of("ada@example.com", tenant="acme")["access_token"]
    with live.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def ask(http: httpx.Client, path: str = "", **query: Any) -> dict[str, Any]:
    answer = http.get(f"{ACME}/analytics/energy{path}", params=WEEK | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_week_by_hand(http: httpx.Client, forum: Forum):
    """60 hours at 10 kWh and 109 at 4: 1036 kWh, of which the hall and the lab count 169 times 4."""
    answer = ask(http, building=forum.building)
    main, hall, lab = answer["meters"]
    assert (main["consumption"], hall["consumption"], lab["consumption"]) == pytest.approx((1036, 507, 169))
    assert (main["submetered"], main["unmetered"]) == pytest.approx((676, 360))
    assert (hall["unmetered"], hall["submeter_of"]) == (None, forum.meters["main"])
    (building,) = answer["buildings"]
    assert building["meters"] == [forum.meters["main"]], "what submeters count is in the main meter's"
    assert building["whole"]
    assert (building["consumption"], building["per_area"]) == pytest.approx((1036, 1.036))
    assert [(one["name"], one["per_area"], one["whole"]) for one in answer["spaces"]] == [
        ("Hall", pytest.approx(507 / 300), True),
        ("Lab", pytest.approx(1.69), True),
    ]
    assert [one["name"] for one in answer["storeys"]] == ["Ground floor", "First floor"]
    assert building["load"] == {
        "hours": 169,
        "mean": pytest.approx(1036 / 169),
        "base": 4.0,
        "base_share": pytest.approx(4 * 169 / 1036),
        "peak": 10.0,
        "peak_at": "2025-10-20T05:00:00Z",
    }
    assert building["closed"] == {
        "night": pytest.approx(5 * 12 * 4),
        "weekend": pytest.approx(49 * 4),
        "share": pytest.approx(436 / 1036),
        "share_of_time": pytest.approx(109 / 169),
    }
    # 57 hours from 22 to 6, one more than in most weeks: 4 kWh each at 0.10, and the rest at 0.30.
    assert building["cost"] == {
        "currency": "EUR",
        "energy": pytest.approx(22.8 + 242.4),
        "standing": pytest.approx(3.5),
        "total": pytest.approx(268.7),
        "by_period": {"Night": pytest.approx(22.8), "": pytest.approx(242.4)},
        "priced_share": pytest.approx(1.0),
    }
    assert hall["cost"]["standing"] == 0
    assert building["emissions"]["co2e"] == pytest.approx(207.2)
    assert answer["completeness"]["share"] == 1.0


def test_the_future_costs_nothing(http: httpx.Client, forum: Forum):
    """Nor is anything closed then: of a period that has not begun there is nothing to tell."""
    asked = {"from": "2100-01-01T00:00:00Z", "to": "2100-02-01T00:00:00Z", "building": forum.building}
    (building,) = ask(http, **asked)["buildings"]
    assert (building["consumption"], building["cost"], building["load"]["hours"]) == (None, None, 0)
    assert ask(http, "/profile", **asked)["days"] == []
    assert ask(http, "/degree-days", **asked)["days"] == []
    half = {"from": NEXT_MONDAY.isoformat(), "to": (NEXT_MONDAY + timedelta(days=1000)).isoformat()}
    today = datetime.now(BRUSSELS).date()
    last = ask(http, "/profile", **half, building=forum.building)["days"][-1]["date"]
    assert last in {str(today), str(datetime.now(BRUSSELS).date())}


def test_opening_hours_are_asked_with(http: httpx.Client, forum: Forum):
    answer = ask(http, building=forum.building, weekdays="1234567", opens="00:00", closes="24:00")
    assert answer["buildings"][0]["closed"]["share"] == 0
    refused = http.get(f"{ACME}/analytics/energy", params=WEEK | {"opens": "19:00", "closes": "07:00"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "closes"


def test_a_storey_or_space_has_its_own_meters(http: httpx.Client, forum: Forum):
    answer = ask(http, space=forum.lab)
    assert [one["name"] for one in answer["meters"]] == ["Lab"]
    assert (answer["buildings"], answer["storeys"]) == ([], [])
    assert answer["spaces"][0]["consumption"] == pytest.approx(169)


def test_the_profile_of_the_week(http: httpx.Client, forum: Forum):
    profile = ask(http, "/profile", building=forum.building)
    assert (profile["name"], profile["whole"], profile["time_zone"]) == ("Forum", True, "Europe/Brussels")
    assert profile["week"][0] == [4.0] * 7 + [10.0] * 12 + [4.0] * 5
    assert profile["week"][6] == [4.0] * 24
    assert profile["open_day"][7] == {
        "hour": 7, "days": 5, "mean": 10.0, "low": 10.0, "median": 10.0, "high": 10.0,
    }  # fmt: skip
    assert profile["closed_day"][2]["days"] == 3, "the hour from 2 to 3 is there twice on that Sunday"
    assert [day["consumption"] for day in profile["days"]] == pytest.approx([168] * 5 + [96, 100])
    lab = ask(http, "/profile", meter=forum.meters["lab"])
    assert (lab["name"], lab["load"]["mean"]) == ("Lab", 1.0)
    gone = http.get(f"{ACME}/analytics/energy/profile", params=WEEK | {"meter": 2**30})
    assert gone.status_code == 404


def test_the_house_is_counted_exactly_across_its_gaps(http: httpx.Client, forum: Forum):
    """All that was counted after the first reading, though three rows of four are missing."""
    rows = rows_of_the_house()
    asked = {"from": "2016-01-01T00:00:00Z", "to": "2016-06-01T00:00:00Z", "building": forum.house}
    (meter,) = ask(http, **asked)["meters"]
    assert meter["consumption"] == pytest.approx(sum(amount for _, amount, _ in rows[1:]) / 1000)
    assert meter["load"]["hours"] == len({time.replace(minute=0) for time, *_ in rows})
    assert meter["cost"] is None, "the tariff is the other building's, and begins ten years later"
    profile = ask(http, "/profile", **asked)
    assert sum(day["consumption"] or 0 for day in profile["days"]) == pytest.approx(meter["consumption"])


def test_degree_days_of_the_house(http: httpx.Client, forum: Forum):
    """Of April, from the file: each hour's mean, each day's mean of what its hours lack of 15.5 °C."""
    hours: dict[datetime, list[float]] = {}
    for time, _, outdoors in rows_of_the_house():
        hours.setdefault(time.astimezone(BRUSSELS).replace(minute=0), []).append(outdoors)
    lacks: dict[int, list[float]] = {}
    for hour, values in hours.items():
        if (hour.year, hour.month) == (2016, 4):
            lacks.setdefault(hour.day, []).append(max(15.5 - sum(values) / len(values), 0))
    expected = {day: sum(some) / len(some) for day, some in lacks.items() if len(some) >= 18}
    answer = ask(
        http,
        "/degree-days",
        **{"from": "2016-04-01T00:00:00+02:00", "to": "2016-05-01T00:00:00+02:00", "building": forum.house},
    )
    assert 0 < len(expected) < 30
    assert answer["heating"] == pytest.approx(sum(expected.values()))
    assert answer["missing_days"] == 30 - len(expected)
    assert [day["heating"] for day in answer["days"] if day["heating"] is not None] == pytest.approx(
        list(expected.values())
    )
    assert answer["months"] == [
        {
            "month": "2016-04",
            "heating": pytest.approx(answer["heating"]),
            "cooling": pytest.approx(answer["cooling"]),
            "days": len(expected),
            "missing_days": 30 - len(expected),
        }
    ]
    assert answer["outdoor_point"] == forum.points["outdoors"]
    assert ask(http, "/degree-days", building=forum.building)["outdoor_point"] is None


def test_a_baseline_of_the_house(http: httpx.Client, forum: Forum):
    asked = {"from": "2016-05-01T00:00:00Z", "to": "2016-05-28T00:00:00Z", "building": forum.house}
    period = {"baseline_from": "2016-01-11T00:00:00Z", "baseline_to": "2016-05-01T00:00:00Z"}
    answer = ask(http, "/baseline", **asked, **period)
    assert answer["problem"] is None
    assert answer["outdoor_point"] == forum.points["outdoors"]
    fit, savings = answer["hourly"], answer["savings"]
    assert fit["parameters"] > 168
    assert not fit["meets_limits"]
    assert savings["savings"] == pytest.approx(savings["predicted"] - savings["actual"])
    assert answer["cusum"][-1]["cumulative"] == pytest.approx(savings["savings"])
    assert [one["confidence"] for one in savings["uncertainty"]] == [0.68, 0.9]
    short = ask(http, "/baseline", **asked, **period | {"baseline_to": "2016-01-15T00:00:00Z"})
    assert "hours were measured" in short["problem"]
    assert (short["hourly"], short["savings"], short["cusum"]) == (None, None, [])
    backwards = http.get(
        f"{ACME}/analytics/energy/baseline", params=asked | period | {"baseline_to": period["baseline_from"]}
    )
    assert backwards.json()["errors"][0]["field"] == "baseline_to"


def test_the_week_beside_its_days(http: httpx.Client, forum: Forum):
    """Thursday beside Wednesday, of 168 kWh each, and the house, which has nothing then."""
    asked = {"from": "2025-10-23T00:00:00+02:00", "to": "2025-10-24T00:00:00+02:00"}
    answer = ask(http, "/comparison", **asked)
    mine, other = answer["buildings"]
    assert (mine["name"], mine["rank"], mine["change"]) == ("Forum", 1, pytest.approx(0.0))
    assert mine["now"]["per_area"] == pytest.approx(0.168)
    assert mine["before"]["starting"] == "2025-10-21T22:00:00Z"
    assert mine["now"]["currency"] == "EUR"
    assert (other["name"], other["rank"], other["now"]["consumption"]) == ("House", None, None)
    assert (mine["whole"], other["whole"]) == (True, False), "of which nothing is known then"
    sunday = {"against_from": "2025-10-26T00:00:00+02:00", "against_to": "2025-10-27T00:00:00+01:00"}
    assert ask(http, "/comparison", **asked, **sunday)["buildings"][0]["change"] == pytest.approx(0.68)
    half = http.get(
        f"{ACME}/analytics/energy/comparison", params=asked | {"against_from": sunday["against_from"]}
    )
    assert half.status_code == 422


def test_what_is_not_over_is_compared_with_as_long_a_time(http: httpx.Client):
    now = datetime.now(UTC)
    starting = now - timedelta(days=2)
    asked = {"from": starting.isoformat(), "to": (now + timedelta(days=28)).isoformat()}
    for one in ask(http, "/comparison", **asked)["buildings"]:
        before, shown = (
            [datetime.fromisoformat(one[period][end]) for end in ("starting", "ending")]
            for period in ("before", "now")
        )
        assert shown[1] - shown[0] == before[1] - before[0] < timedelta(days=2, hours=1)
    asked = {"from": (now + timedelta(days=1)).isoformat(), "to": (now + timedelta(days=2)).isoformat()}
    assert [one["change"] for one in ask(http, "/comparison", **asked)["buildings"]] == [None, None]


def test_a_new_meter_is_no_growth(http: httpx.Client, deployment: Deployment, forum: Forum):
    context = deployment.acme
    with deployment.databases.tenant(context) as session:
        annex = space_of(session, "Brussels", "Annex", "Ground floor", 0, "Shed", 10.0)
        storey = session.get_one(Space, annex).storey_id
        building = session.get_one(Storey, storey).building_id
        counters = [
            NewPoint(name, "Electrical_Energy_Usage_Sensor", "kWh", "counter") for name in ("old", "new")
        ]
        create_device(session, "annex", name="Annex", space_id=annex, points=counters)
        points = {point.name: point.id for point in list_points(session, device="annex")}
        for name, place in (("old", {"building_id": building}), ("new", {"space_id": annex})):
            add_meter(session, NewMeter(name, "electricity", points[name], **place))
    days = [MONDAY.astimezone(UTC) + timedelta(days=day) for day in range(3)]
    counted = {(points["old"], at(time)): 24.0 * place for place, time in enumerate(days)}
    asked = {"from": days[1].isoformat(), "to": days[2].isoformat(), "building": building}
    store(deployment, context, counted)
    (silent,) = ask(http, "/comparison", **asked)["buildings"]
    assert (silent["now"]["consumption"], silent["now"]["per_area"]) == (24, None), "one counted nothing"
    assert (silent["change"], silent["whole"], silent["rank"]) == (0, False, None)
    store(
        deployment, context, {(points["new"], at(time)): 6.0 * place for place, time in enumerate(days[1:])}
    )
    (grown,) = ask(http, "/comparison", **asked)["buildings"]
    assert (grown["now"]["consumption"], grown["before"]["consumption"]) == (30, 24)
    assert (grown["change"], grown["whole"]) == (None, True)


def test_who_has_one_space_sees_what_measures_that_alone(http: httpx.Client, live: Live, forum: Forum):
    with live.deployment.databases.core() as core:
        erin = core.scalars(select(Account.id).where(Account.email == "erin@example.com")).one()
        place_member(core, erin, live.deployment.acme, Places(spaces=frozenset({forum.hall})))
    token = live.tokens_of("erin@example.com", tenant="acme")["access_token"]
    with live.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        answer = ask(client)
        assert [one["name"] for one in answer["meters"]] == ["Hall"]
        assert answer["buildings"] == []
        assert [one["name"] for one in answer["storeys"]] == ["Ground floor"], "which has that space alone"
        assert answer["meters"][0]["submeter_of"] is None, "the meter above is out of sight"
        assert answer["meters"][0]["cost"]["standing"] == 0, "and it is no main meter for that"
        hall = client.get(f"{ACME}/meters/{forum.meters['hall']}")
        assert client.get(f"{ACME}/meters").json()["items"] == [hall.json()]
        assert (hall.json()["id"], hall.json()["submeter_of"]) == (forum.meters["hall"], None)
        kept = client.patch(
            f"{ACME}/meters/{forum.meters['hall']}",
            json={"name": "Hall", "submeter_of": None},
            headers={"If-Match": hall.headers["etag"]},
        )
        assert (kept.status_code, kept.json()) == (200, hall.json())
        assert http.get(f"{ACME}/meters/{forum.meters['hall']}").json()["submeter_of"] == forum.meters["main"]
        url = f"{ACME}/meters/{forum.meters['main']}"
        for refused in (
            client.get(url),
            client.patch(url, json={"name": "Mine"}),
            client.delete(url),
            client.get(f"{ACME}/analytics/energy/profile", params=WEEK | {"meter": forum.meters["main"]}),
            # Its own counter, but for the whole building or for somebody else's space.
            client.post(
                f"{ACME}/meters",
                json={
                    "name": "Mine",
                    "carrier": "electricity",
                    "point_id": forum.points["spare"],
                    "building_id": forum.building,
                },
            ),
            client.patch(f"{ACME}/meters/{forum.meters['hall']}", json={"space_id": forum.lab}),
            client.patch(f"{ACME}/meters/{forum.meters['hall']}", json={"submeter_of": forum.meters["lab"]}),
            client.patch(
                f"{ACME}/meters/{forum.meters['hall']}", json={"point_id": forum.points["appliances"]}
            ),
        ):
            assert refused.status_code == 404, refused.text
        assert client.get(f"{ACME}/tariffs").status_code == 403
        assert (
            client.post(
                f"{ACME}/emission-factors", json={"carrier": "gas", "valid_from": "2026-01-01", "factor": 0.2}
            ).status_code
            == 403
        )
    assert http.get(url).json()["name"] == "Main"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["field"]


def test_meters_are_made_changed_and_deleted(http: httpx.Client, live: Live, forum: Forum):
    new = {
        "name": "Boiler",
        "carrier": "gas",
        "point_id": forum.points["gas"],
        "building_id": forum.building,
        "calorific_value": 11.2,
    }
    keyed = {"Idempotency-Key": "boiler"}
    made = http.post(f"{ACME}/meters", json=new, headers=keyed)
    assert made.status_code == 201, made.text
    again = http.post(f"{ACME}/meters", json=new, headers=keyed)
    assert (again.status_code, again.json()) == (200, made.json())
    url = made.headers["location"]
    assert http.get(url).headers["etag"] == made.headers["etag"]
    changed = http.patch(
        url, json={"storey_id": None, "space_id": forum.lab}, headers={"If-Match": made.headers["etag"]}
    )
    assert (changed.json()["building_id"], changed.json()["space_id"]) == (None, forum.lab)
    stale = http.patch(url, json={"name": "Old"}, headers={"If-Match": made.headers["etag"]})
    assert stale.status_code == 412
    assert http.delete(url, headers={"If-Match": made.headers["etag"]}).status_code == 412
    assert http.delete(url).status_code == 204
    assert http.get(url).status_code == 404
    with live.deployment.databases.core() as core:
        entries = list_entries(core, tenant=live.deployment.acme.id, limit=3)
        assert [one.action for one in entries] == ["meter.deleted", "meter.changed", "meter.created"]
        assert {one.target for one in entries} == {str(made.json()["id"])}


def test_a_meter_that_cannot_be_is_refused_by_field(http: httpx.Client, forum: Forum):
    good = {
        "name": "Spare", "carrier": "electricity", "point_id": forum.points["spare"], "space_id": forum.hall,
    }  # fmt: skip

    def post(**changes: Any) -> httpx.Response:
        return http.post(f"{ACME}/meters", json=good | changes)

    assert refusal(post(point_id=forum.points["power"])) == (422, "point_id")
    assert refusal(post(point_id=2**30)) == (422, "point_id")
    assert refusal(post(point_id=forum.points["gas"])) == (422, "point_id")  # a volume is no electricity
    assert refusal(post(carrier="gas", point_id=forum.points["gas"])) == (422, "calorific_value")
    assert refusal(post(building_id=forum.building)) == (422, "space_id")
    assert refusal(post(space_id=None)) == (422, "building_id")
    assert refusal(post(space_id=2**30)) == (422, "space_id")
    assert refusal(post(submeter_of=2**30)) == (422, "submeter_of")
    assert refusal(post(carrier="heat", submeter_of=forum.meters["main"])) == (422, "submeter_of")
    assert post(point_id=forum.points["main"]).status_code == 409
    below_itself = http.patch(
        f"{ACME}/meters/{forum.meters['main']}", json={"submeter_of": forum.meters["hall"]}
    )
    assert refusal(below_itself) == (422, "submeter_of")


def test_tariffs_and_factors_are_made_changed_and_deleted(http: httpx.Client):
    tariff = {
        "name": "Water", "carrier": "water", "valid_from": "2026-01-01", "currency": "EUR", "price": 4.1,
        "periods": [
            {"name": "Summer", "weekdays": [6, 7], "starts": "10:00", "ends": "20:00", "price": 5.0}
        ],
    }  # fmt: skip
    factor = {"carrier": "water", "valid_from": "2026-01-01", "factor": 0.3, "source": "By hand"}
    for path, new, change in (
        ("tariffs", tariff, {"price": 4.2}),
        ("emission-factors", factor, {"factor": 0.4}),
    ):
        keyed = {"Idempotency-Key": f"water {path}"}
        made = http.post(f"{ACME}/{path}", json=new, headers=keyed)
        assert made.status_code == 201, made.text
        again = http.post(f"{ACME}/{path}", json=new, headers=keyed)
        assert (again.status_code, again.json()) == (200, made.json())
        assert http.post(f"{ACME}/{path}", json=new).status_code == 409
        url = made.headers["location"]
        assert made.json()["id"] in [one["id"] for one in http.get(f"{ACME}/{path}").json()["items"]]
        changed = http.patch(url, json=change, headers={"If-Match": made.headers["etag"]})
        assert changed.json() == made.json() | change
        assert http.patch(url, json=change, headers={"If-Match": made.headers["etag"]}).status_code == 412
        assert http.get(url).headers["etag"] == changed.headers["etag"]
        assert http.delete(url).status_code == 204
        assert http.get(url).status_code == 404
    cut = tariff | {"periods": [tariff["periods"][0] | {"starts": "10:07"}]}  # type: ignore[index,operator]
    assert http.post(f"{ACME}/tariffs", json=cut).status_code == 422
    nowhere = http.post(f"{ACME}/tariffs", json=tariff | {"building_id": 2**30})
    assert refusal(nowhere) == (422, "building_id")


def test_an_equipment_counts_where_it_stands(http: httpx.Client, live: Live, forum: Forum):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        storey = session.scalars(select(Storey.id).where(Storey.name == "First floor")).one()
        equipment = Equipment(name="Chiller", brick_class="Chiller", storey_id=storey)
        session.add(equipment)
        session.flush()
        meter = add_meter(
            session,
            NewMeter(
                "Chiller", "electricity", forum.points["spare"], equipment_id=equipment.id,
                submeter_of=forum.meters["lab"],
            ),
        )  # fmt: skip
        assert (meter.building, meter.storey, meter.space) == (forum.building, storey, None)
        assert meter.ancestors == (forum.meters["lab"], forum.meters["main"])
    answer = ask(http, storey=storey)
    assert answer["storeys"][0]["meters"] == [forum.meters["lab"]], "the lab's takes the chiller's in"
    assert http.delete(f"{ACME}/meters/{meter.id}").status_code == 204


def test_of_two_who_declare_the_same_at_once_one_is_told(deployment: Deployment, forum: Forum):
    """The second waits until the first has committed, and finds its tariff there."""
    facts = {
        "name": "Flat",
        "carrier": "water",
        "valid_from": date(2024, 1, 1),
        "currency": "EUR",
        "price": 2.0,
    }
    with ThreadPoolExecutor(1) as pool:
        with deployment.databases.tenant(deployment.acme) as first:
            add_tariff(first, facts)

            def again() -> None:
                with deployment.databases.tenant(deployment.acme) as second:
                    second.execute(text("SET LOCAL application_name = 'second tariff'"))
                    add_tariff(second, facts)

            waiting = pool.submit(again)
            eventually(lambda: _waits_for_a_lock(deployment, "second tariff"), what="the second to wait")
        with pytest.raises(Conflict, match="somebody changed the same at this moment"):
            waiting.result(30)


def _waits_for_a_lock(deployment: Deployment, name: str) -> bool:
    with psycopg.connect(deployment.admin_url) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        )
        return connection.execute(query, (name,)).fetchone() == (1,)
