"""Limits and usage over HTTP: who may see and change them, and what happens at a limit."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from insula_platform.cli import app as command_line
from insula_platform.metering import Meter
from insula_platform.oauth.clients import create_service_client
from insula_platform.rate_limit import RateLimiter, TooManyRequests
from insula_tenants.audit import SYSTEM, list_entries
from insula_tenants.devices import NewPoint, create_device
from insula_tenants.quotas import put_quotas
from insula_tenants.usage import add_usage, read_usage
from tests.conftest import Deployment
from tests.platform.conftest import Live
from tests.platform.test_operator import Operator

LONG_AGO = date(2020, 1, 1)


@pytest.fixture(scope="module")
def operator(live: Live) -> Operator:
    return Operator(live)


@pytest.fixture
def unlimited_again(live: Live) -> Iterator[None]:
    """Whatever a test allows acme, the next one finds it on its plan, in a new window."""
    yield
    with live.deployment.databases.core() as core:
        put_quotas(core, "acme", plan="standard", own={}, actor=SYSTEM)
    object.__setattr__(live.platform, "rate_limiter", RateLimiter())


def token_of(live: Live, scope: str) -> str:
    with live.deployment.databases.core() as core:
        program = create_service_client(core, live.deployment.acme, "program", scope)
    answer = live.token_request(program, grant_type="client_credentials")
    return str(answer.json()["access_token"])


# Plans and quotas


def test_a_plan_is_made_changed_and_listed(operator: Operator):
    made = operator.ask("PUT", "/plans/campus", {"limits": {"devices": 9, "points": None}})
    assert made.status_code == 201, made.text
    assert made.json()["limits"] == dict.fromkeys(made.json()["limits"]) | {"devices": 9}
    changed = operator.ask(
        "PUT", "/plans/campus", {"limits": {"devices": 10}}, **{"If-Match": made.headers["etag"]}
    )
    assert (changed.status_code, changed.json()["limits"]["devices"]) == (200, 10)
    late = operator.ask(
        "PUT", "/plans/campus", {"limits": {"devices": 11}}, **{"If-Match": made.headers["etag"]}
    )
    assert (late.status_code, late.json()["type"]) == (412, "/problems/precondition-failed")
    shown = operator.ask("GET", "/plans/campus")
    assert (shown.json(), shown.headers["etag"]) == (changed.json(), changed.headers["etag"])

    names, cursor = [], ""
    while True:
        page = operator.ask("GET", f"/plans?limit=2{cursor}").json()
        names += [plan["name"] for plan in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == ["campus", "standard", "trial", "unlimited"]
    assert operator.ask("GET", "/plans/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("limits", "field", "fix"),
    [
        ({"divices": 1}, "limits.divices", "use one of devices, points"),
        ({"devices": 0}, "limits.devices", "use a whole number from 1 to 1000000, or null for unlimited"),
        ({"storage_bytes": 2**61}, "limits.storage_bytes", "use a whole number from 1 to"),
        ({"devices": "7"}, "body.limits.devices", "valid integer"),
        ({"devices": True}, "body.limits.devices", "valid integer"),
    ],
)
def test_a_bad_limit_is_named_with_what_would_be_right(
    operator: Operator, limits: dict[str, Any], field: str, fix: str
):
    refused = operator.ask("PUT", "/plans/wrong", {"limits": limits})
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert error["field"] == field
    assert fix in error["detail"]
    assert operator.ask("GET", "/plans/wrong").status_code == 404


@pytest.mark.usefixtures("unlimited_again")
def test_a_tenant_gets_a_plan_and_limits_of_its_own(live: Live, operator: Operator):
    before = operator.ask("GET", "/tenants/acme/quotas")
    assert (before.json()["plan"], before.json()["own"]) == ("standard", {})
    asked = {"plan": "trial", "own": {"devices": 7, "retention_days": None}}
    given = operator.ask("PUT", "/tenants/acme/quotas", asked, **{"If-Match": before.headers["etag"]})
    assert given.status_code == 200, given.text
    limits = given.json()["limits"]
    assert (limits["devices"], limits["points"], limits["retention_days"]) == (7, 250, None)
    assert operator.ask("GET", "/tenants/acme").json()["plan"] == "trial"
    assert operator.ask("GET", "/tenants/globex/quotas").json()["plan"] == "standard"

    stale = operator.ask("PUT", "/tenants/acme/quotas", asked, **{"If-Match": before.headers["etag"]})
    assert stale.status_code == 412
    nowhere = operator.ask("PUT", "/tenants/acme/quotas", {"plan": "gold"})
    assert (nowhere.status_code, nowhere.json()["errors"][0]["field"]) == (422, "plan")
    assert operator.ask("PUT", "/tenants/initech/quotas", asked).status_code == 404
    reader = Operator(live, "tenants:read")
    assert reader.ask("GET", "/tenants/acme/quotas").status_code == 200
    assert reader.ask("PUT", "/tenants/acme/quotas", asked).status_code == 403
    assert reader.ask("PUT", "/plans/trial", {"limits": {}}).status_code == 403

    with live.deployment.databases.core() as core:
        entry = list_entries(core, tenant=live.deployment.acme.id)[0]
        assert (entry.action, entry.actor_kind) == ("tenant.quotas_changed", "operator")
        assert entry.detail["quotas"] == {"devices": 7, "retention_days": None}


@pytest.mark.usefixtures("unlimited_again")
def test_a_tenant_sees_its_limits_and_what_it_uses(live: Live):
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        create_device(session, "counted", name="Counted", points=[NewPoint("a"), NewPoint("b")])
    owner = live.tokens_of("ada@example.com", scope="openid usage:read")
    shown = live.get("/api/v1/tenants/acme/quotas", owner["access_token"])
    assert shown.status_code == 200, shown.text
    assert shown.json()["plan"] == "standard"
    assert shown.json()["limits"]["devices"] == 5000
    assert shown.json()["use"] == {"devices": 1, "points": 2, "storage_bytes": None, "measured_at": None}

    viewer = live.tokens_of("victor@example.com", scope="openid readings:read usage:read")
    assert "usage:read" not in viewer["scope"]
    for path in ("quotas", "usage"):
        refused = live.get(f"/api/v1/tenants/acme/{path}", viewer["access_token"])
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/insufficient-scope")
        assert live.get(f"/api/v1/tenants/globex/{path}", owner["access_token"]).status_code == 404


# Usage


def test_usage_is_read_by_day_by_its_tenant_and_by_the_operator(live: Live, operator: Operator):
    acme, globex = live.deployment.acme.id, live.deployment.globex.id
    with live.deployment.databases.core() as core:
        for day in (1, 2, 3):
            add_usage(core, acme, date(2024, 5, day), {"messages": day}, {1, 2})
        add_usage(core, globex, date(2024, 5, 1), {"messages": 99})
    days = "from=2024-05-01&to=2024-05-03"
    token = token_of(live, "usage:read")

    mine = live.get(f"/api/v1/tenants/acme/usage?{days}", token).json()["items"]
    assert [(item["day"], item["messages"], item["devices_seen"]) for item in mine] == [
        ("2024-05-01", 1, 2), ("2024-05-02", 2, 2),
    ]  # fmt: skip
    assert "tenant" not in mine[0]
    paged = live.get(f"/api/v1/tenants/acme/usage?{days}&limit=1", token).json()
    rest = live.get(f"/api/v1/tenants/acme/usage?{days}&cursor={paged['next_cursor']}", token).json()
    assert paged["items"] + rest["items"] == mine

    theirs = operator.ask("GET", f"/tenants/acme/usage?{days}").json()["items"]
    assert [item["messages"] for item in theirs] == [1, 2]
    everybody = operator.ask("GET", f"/usage?{days}").json()["items"]
    assert [(item["tenant"], item["messages"]) for item in everybody] == [
        ("acme", 1),
        ("acme", 2),
        ("globex", 99),
    ]
    first = operator.ask("GET", f"/usage?{days}&limit=2").json()
    second = operator.ask("GET", f"/usage?{days}&limit=2&cursor={first['next_cursor']}").json()
    assert first["items"] + second["items"] == everybody
    assert second["next_cursor"] is None

    empty = live.get("/api/v1/tenants/acme/usage?from=2024-05-03&to=2024-05-03", token)
    assert (empty.status_code, empty.json()["errors"][0]["field"]) == (422, "from")
    assert live.get(f"{'/api/v1/operator/usage'}?{days}", token).status_code == 403


# Requests by the minute


@pytest.mark.usefixtures("unlimited_again")
def test_requests_over_the_limit_are_refused_until_the_window_ends(live: Live):
    token = token_of(live, "readings:read")
    with live.deployment.databases.core() as core:
        put_quotas(core, "acme", own={"api_requests_per_minute": 3}, actor=SYSTEM)
    seen = [live.get("/api/v1/tenants/acme/probe", token) for _ in range(5)]
    assert [answer.status_code for answer in seen] == [200, 200, 200, 429, 429]
    assert {answer.headers["ratelimit-policy"] for answer in seen} == {'"tenant";q=3;w=60'}
    stands = [re.fullmatch(r'"tenant";r=(\d+);t=(\d+)', answer.headers["ratelimit"]) for answer in seen]
    assert [int(each[1]) for each in stands if each] == [2, 1, 0, 0, 0]
    assert all(1 <= int(each[2]) <= 60 for each in stands if each)
    refused = seen[3]
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert "api_requests_per_minute" in refused.json()["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60

    # The neighbour goes on, and so does who is not the tenant: neither of them is counted.
    other = live.tokens_of("erin@example.com", tenant="globex")
    assert live.get("/api/v1/tenants/globex/probe", other["access_token"]).status_code == 200
    stranger = live.get("/api/v1/tenants/acme/probe", other["access_token"])
    assert stranger.status_code == 404
    assert "ratelimit" not in stranger.headers
    assert live.get("/api/v1/tenants/acme/probe").status_code == 401


@pytest.mark.usefixtures("unlimited_again")
def test_errors_count_and_no_limit_says_nothing(live: Live):
    token = token_of(live, "readings:read")
    first = live.get("/api/v1/tenants/acme/readings?point=1&from=x&to=y", token)
    second = live.get("/api/v1/tenants/acme/readings?point=1&from=x&to=y", token)
    assert first.status_code == second.status_code == 422
    left = [re.search(r"r=(\d+)", answer.headers["ratelimit"]) for answer in (first, second)]
    assert [int(each[1]) for each in left if each] == [2999, 2998]
    with live.deployment.databases.core() as core:
        put_quotas(core, "acme", plan="unlimited", actor=SYSTEM)
    assert "ratelimit" not in live.get("/api/v1/tenants/acme/probe", token).headers


def test_of_many_at_once_as_many_are_admitted_as_the_limit_says():
    limiter = RateLimiter()

    async def ask() -> bool:
        try:
            limiter.refuse_exhausted("acme", {})
            await limiter.count("acme", 7, {})
        except TooManyRequests:
            return False
        return True

    async def storm() -> list[bool]:
        return await asyncio.gather(*(ask() for _ in range(50)))

    assert sum(asyncio.run(storm())) == 7


def test_every_operation_of_a_tenant_documents_its_limit(live: Live):
    document = live.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            limited = "{tenant}" in path
            assert limited <= ("429" in operation["responses"]), path
            if limited:
                headers = operation["responses"]["429"]["headers"]
                assert headers.keys() == {"RateLimit", "RateLimit-Policy", "Retry-After"}


# Metering


def calls_of(deployment: Deployment) -> int:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with deployment.databases.core() as core:
        days = read_usage(core, LONG_AGO, tomorrow, tenant_id=deployment.acme.id, limit=10_000)
    return sum(day.api_calls for day in days)


def test_calls_are_counted_and_added(live: Live):
    token = token_of(live, "readings:read")
    asyncio.run(live.platform.meter.flush())
    before = calls_of(live.deployment)
    for path in ("acme/probe", "acme/probe", "globex/probe", "acme/members-probe"):
        live.get(f"/api/v1/tenants/{path}", token)
    asyncio.run(live.platform.meter.flush())
    assert calls_of(live.deployment) == before + 2


def test_what_cannot_be_added_now_is_added_later(deployment: Deployment, monkeypatch: pytest.MonkeyPatch):
    meter = Meter(deployment.databases)
    meter.count(deployment.acme.id)
    before = calls_of(deployment)

    def away(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("the database is away"))

    with monkeypatch.context() as patched:
        patched.setattr("insula_platform.metering.add_usage", away)
        asyncio.run(meter.flush())
    assert calls_of(deployment) == before
    meter.count(deployment.acme.id)
    asyncio.run(meter.flush())
    asyncio.run(meter.flush())
    assert calls_of(deployment) == before + 2


# The command line


def run(deployment: Deployment, *arguments: str, fails: bool = False) -> str:
    result = CliRunner().invoke(
        command_line, list(arguments), env={"INSULA_DATABASE_URL": deployment.service_url}
    )
    if fails:
        return str(result.exception)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


@pytest.mark.usefixtures("unlimited_again")
def test_the_command_line_does_the_same(live: Live):
    deployment = live.deployment
    assert "invented" not in run(deployment, "plan", "list")
    run(deployment, "plan", "set", "invented", "devices=12", "points=unlimited")
    plans = {plan["name"]: plan["limits"] for plan in json.loads(run(deployment, "plan", "list", "--json"))}
    assert (plans["invented"]["devices"], plans["invented"]["points"]) == (12, None)
    assert "use one of devices" in run(deployment, "plan", "set", "invented", "divices=1", fails=True)
    assert "NAME=NUMBER" in run(deployment, "plan", "set", "invented", "devices", fails=True)

    run(deployment, "tenant", "plan", "acme", "invented")
    run(deployment, "tenant", "quota", "acme", "points=3", "retention_days=unlimited")
    run(deployment, "tenant", "quota", "acme", "devices=4", "points=plan")
    shown = json.loads(run(deployment, "tenant", "quota", "acme", "--json"))
    assert shown["plan"] == "invented"
    assert shown["own"] == {"devices": 4, "retention_days": None}
    assert shown["limits"]["devices"] == 4
    assert "no plan 'gold'" in run(deployment, "tenant", "plan", "acme", "gold", fails=True)

    with deployment.databases.core() as core:
        add_usage(core, deployment.globex.id, date(2023, 1, 1), {"values": 8})
    usage = json.loads(
        run(deployment, "tenant", "usage", "globex", "--from", "2023-01-01", "--to", "2023-02-01", "--json")
    )
    assert [(day["day"], day["values"]) for day in usage] == [("2023-01-01", 8)]
