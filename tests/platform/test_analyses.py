"""Analyses in the background: what they leave, who asks for them, and how workers share them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from procrastinate import App
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from insula_platform.analytics.forecasts.queue import ANALYSE_TASK, QUEUE, queue_slices
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import Client
from insula_platform.worker import analyses
from insula_platform.worker.analyses import AnalysisMetrics, Left, analyse_slice, plan_everywhere
from insula_platform.worker.app import make_app
from insula_tenants.analytics.analyses import look as look_module
from insula_tenants.analytics.analyses import service
from insula_tenants.analytics.analyses.service import (
    begin_analysis,
    find_analysis,
    note_point,
    open_slices,
    take_slice,
)
from insula_tenants.analytics.analyses.work import Worked, work_on
from insula_tenants.audit import SYSTEM
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from insula_tenants.spaces import Places, ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.platform.conftest import Live

ROOT = Path(__file__).resolve().parents[2]
UNTIL = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
URL = "/api/v1/tenants/acme/analytics"


@pytest.fixture(autouse=True)
def alone(live: Live) -> Iterator[None]:
    """Each test begins without analyses, forecasts, findings and jobs, and with tenants of no devices."""
    yield
    for context in (live.deployment.acme, live.deployment.globex):
        with live.deployment.databases.tenant(context) as session:
            session.execute(text("DELETE FROM analyses"))
            session.execute(text("DELETE FROM devices"))
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM procrastinate_jobs"))


@pytest.fixture(scope="module")
def owner(live: Live) -> str:
    return str(live.tokens_of("ada@example.com")["access_token"])


def furnish(live: Live, context: TenantContext, count: int = 1, *, room: str = "Room") -> list[int]:
    """So many points, each of a device of its own, all in one room."""
    found = []
    with live.deployment.databases.tenant(context) as session:
        space = ensure_space(
            session,
            site="Campus",
            building="Forum",
            time_zone="Europe/Brussels",
            storey="Ground floor",
            level=0,
            name=room,
        )
        for number in range(count):
            slug = f"{room.lower()}-{number}"
            point = NewPoint("temperature", brick_class="Zone_Air_Temperature_Sensor", unit="degC")
            create_device(session, slug, name=slug, space_id=space, points=[point])
            found.append(list_points(session, device=slug)[0].id)
    return found


def write(live: Live, point: int, starting: datetime, values: Sequence[float]) -> None:
    """One reading an hour, in the middle of it."""
    times = (starting + HOUR * number + HOUR / 2 for number in range(len(values)))
    readings = {
        (point, round(time.timestamp() * 1e6)): float(value)
        for time, value in zip(times, values, strict=True)
    }
    with psycopg.connect(live.deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([TenantBatch(live.deployment.acme, readings)])


def begin(live: Live, context: TenantContext, now: datetime = UNTIL + timedelta(minutes=6)) -> UUID:
    with live.deployment.databases.tenant(context) as session:
        key = begin_analysis(session, "schedule", now=now)
    assert key is not None
    return key


def do(live: Live, key: UUID, *numbers: int) -> None:
    """Work on slices of acme's, as a worker does."""
    for number in numbers or (0,):
        asyncio.run(analyse_slice(live.settings, live.deployment.databases, "acme", key, number))


def progress(live: Live, key: UUID) -> tuple[str, int, int]:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        view = find_analysis(session, key)
    return view.state, view.points_done, view.points_failed


def work(live: Live, workers: int = 1, *names: str) -> None:
    """Workers that do what there is to do, together, and leave; before, jobs of these names are queued."""

    async def one(app: App, queues: list[str]) -> None:
        async with app.open_async():
            for name in names:
                await app.tasks[name].defer_async(timestamp=0)
            await app.run_worker_async(
                queues=queues,
                concurrency=1,
                wait=False,
                install_signal_handlers=False,
                delete_jobs="successful",
            )

    async def together(apps: list[App]) -> None:
        queues = ["default"] if names else [QUEUE]
        await asyncio.gather(*(one(app, queues) for app in apps))

    with closing(Databases({"main": live.deployment.service_url}, pool_size=4)) as databases:
        asyncio.run(together([make_app(live.settings, databases) for _ in range(workers)]))


def room(count: int, seed: int = 1) -> np.ndarray:
    """21 °C, 2 K more in the afternoon, and 0.2 K of noise, of as many hours before `UNTIL`."""
    hour = np.arange(-count, 0)
    return 21 + 2 * np.sin(2 * np.pi * (hour - 9) / 24) + np.random.default_rng(seed).normal(0, 0.2, count)


def test_a_point_is_forecast_and_a_fault_is_one_finding_until_it_is_over(live: Live, owner: str):
    (point,) = furnish(live, live.deployment.acme)
    values = room(8 * 168)
    values[-30:] = 22.5
    write(live, point, UNTIL - 8 * 168 * HOUR, values)
    (before,) = live.get(f"{URL}/forecasts?point={point}", owner).json()["items"]
    assert (before["device"], before["state"], before["values"]) == ("room-0", None, [])
    do(live, begin(live, live.deployment.acme))
    (forecast,) = live.get(f"{URL}/forecasts?point={point}", owner).json()["items"]
    assert forecast["state"] == "ready"
    assert forecast["complete_until"] == "2026-03-02T00:00:00Z"
    assert forecast["completeness"] == {"expected": 1344, "present": 1344, "share": 1.0}
    assert [one["time"] for one in forecast["values"]][::23] == [
        "2026-03-02T00:00:00Z",
        "2026-03-02T23:00:00Z",
    ]
    assert all(one["lower"] <= one["value"] <= one["upper"] for one in forecast["values"])
    backtest = forecast["backtest"]
    assert (backtest["folds"], backtest["hours"]) == (28, 28 * 24)
    assert forecast["beats_naive"] is True
    assert forecast["model"] == "ridge"
    assert backtest["model"]["mae"] < backtest["naive"]["mae"]
    assert backtest["model"]["mase"] < 1
    (finding,) = live.get(f"{URL}/findings?state=open&kind=stuck", owner).json()["items"]
    assert finding["opened_at"] == "2026-02-28T18:00:00Z"
    assert finding["evidence"]["value"] == 22.5
    assert finding["evidence"]["to"] == "2026-03-02T00:00:00Z"
    assert finding["evidence"]["expected_low"] == pytest.approx(19, abs=0.4)

    # An hour later it is still stuck: the same finding.
    write(live, point, UNTIL, [22.5])
    do(live, begin(live, live.deployment.acme, UNTIL + HOUR + timedelta(minutes=6)))
    shown = live.get(f"{URL}/findings?kind=stuck", owner).json()
    (same,) = shown["items"]
    assert shown["complete_until"] == "2026-03-02T01:00:00Z"
    assert shown["completeness"]["expected"] == 1344
    assert (same["id"], same["closed_at"]) == (finding["id"], None)
    assert same["evidence"]["to"] == "2026-03-02T01:00:00Z"
    # Then it moves again.
    write(live, point, UNTIL + HOUR, [19.4, 19.2])
    do(live, begin(live, live.deployment.acme, UNTIL + 3 * HOUR + timedelta(minutes=6)))
    (closed,) = live.get(f"{URL}/findings?kind=stuck", owner).json()["items"]
    assert (closed["id"], closed["closed_at"]) == (finding["id"], "2026-03-02T01:00:00Z")
    assert live.get(f"{URL}/findings?state=open&kind=stuck", owner).json()["items"] == []
    during, after = ("2026-03-01T00:00:00Z", "2026-03-02T02:00:00Z")
    assert len(live.get(f"{URL}/findings?kind=stuck&from={during}&to={after}", owner).json()["items"]) == 1
    assert live.get(f"{URL}/findings?kind=stuck&from={after}", owner).json()["items"] == []
    assert live.get(f"{URL}/findings?kind=stuck&to=2026-02-28T18:00:00Z", owner).json()["items"] == []
    assert live.get(f"{URL}/findings?kind=stuck&severity=info", owner).json()["items"] == []
    analyses_ = live.get(f"{URL}/analyses", owner).json()["items"]
    assert [one["points_done"] for one in analyses_] == [1, 1, 1]
    assert {one["state"] for one in analyses_} == {"done"}


def test_a_device_out_of_use_has_nothing_open(live: Live):
    (point,) = furnish(live, live.deployment.acme)
    write(live, point, UNTIL - 500 * HOUR, [*room(450), *[22.5] * 50])
    do(live, begin(live, live.deployment.acme))
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        assert session.scalar(text("SELECT count(*) FROM findings WHERE closed_at IS NULL")) == 1
        session.execute(text("UPDATE devices SET state = 'decommissioned'"))
    plan_everywhere(live.deployment.databases)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        assert session.scalar(text("SELECT closed_at = seen_at FROM findings")) is True


def test_findings_are_of_the_places_that_a_grant_covers(live: Live):
    """Forecasts of other places look like those of points that do not exist."""
    (mine,), (other,) = (furnish(live, live.deployment.acme, room=name) for name in ("Mine", "Other"))
    for point in (mine, other):
        write(live, point, UNTIL - 500 * HOUR, [*room(450), *[22.5] * 50])
    do(live, begin(live, live.deployment.acme))
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        space = session.scalar(text("SELECT id FROM spaces WHERE name = 'Mine'"))
    with live.deployment.databases.core() as core:
        client, secret = create_service_client(
            core, live.deployment.acme, "mine", "readings:read devices:write"
        )
        core.get_one(Client, client).places = Places(spaces=frozenset({int(space or 0)})).told
    answer = live.token_request((client, secret), grant_type="client_credentials")
    token = answer.json()["access_token"]
    assert {one["point"] for one in live.get(f"{URL}/findings", token).json()["items"]} == {mine}
    both = live.get(f"{URL}/forecasts?point={mine}&point={other}", token).json()["items"]
    assert [one["point"] for one in both] == [mine]
    assert live.get(f"{URL}/findings?point={other}", token).json()["items"] == []
    assert live.get(f"{URL}/analyses", token).status_code == 403
    with live.client() as http:
        refused = http.post(f"{URL}/analyses", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403


def post(live: Live, token: str, key: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
    with live.client() as http:
        return http.post(f"{URL}/analyses", headers=headers)


def test_an_analysis_is_asked_for_once_and_one_runs_at_a_time(live: Live, owner: str):
    furnish(live, live.deployment.acme, 3)
    asked = post(live, owner, "now")
    assert (asked.status_code, asked.json()["state"], asked.json()["points"]) == (202, "waiting", 3)
    again = post(live, owner, "now")
    assert (again.status_code, again.json()["id"]) == (200, asked.json()["id"])
    other = post(live, owner)
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    viewer = live.tokens_of("victor@example.com")["access_token"]
    assert post(live, viewer).status_code == 403
    work(live)
    shown = live.get(asked.headers["location"], owner).json()
    assert (shown["state"], shown["reason"]) == ("done", "request")
    assert (shown["points_done"], shown["points_failed"], shown["error"]) == (3, 0, None)
    assert post(live, owner).status_code == 202
    assert live.get(f"{URL}/analyses/{UUID(int=1)}", owner).status_code == 404
    with live.deployment.databases.core() as core:
        told = core.execute(
            text("SELECT detail FROM audit_log WHERE action = 'analysis.requested' ORDER BY id LIMIT 1")
        ).scalar_one()
    assert told == {"id": asked.json()["id"], "points": 3}


# A worker that stops at the second point it gets, says so, and waits to be killed.
CHILD = """
import time
from insula_platform.settings import PlatformSettings
from insula_platform.worker.app import run
from insula_tenants.analytics.analyses import work

real, seen = work.look, []

def look(history):
    seen.append(history)
    if len(seen) == 2:
        print("there", flush=True)
        time.sleep(100)
    return real(history)

work.look = look
run(PlatformSettings())
"""


def test_two_workers_share_the_slices_and_one_that_was_killed_leaves_none_undone(
    live: Live, owner: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service, "POINTS_IN_A_SLICE", 2)
    points = furnish(live, live.deployment.acme, 6)
    key = UUID(post(live, owner).json()["id"])
    environment = os.environ | {
        "INSULA_DATABASE_URL": live.deployment.service_url,
        "INSULA_SECRET_KEY": "a secret key that is long enough for tests",
    }
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        child.send_signal(signal.SIGKILL)
    assert progress(live, key) == ("running", 1, 0)
    with live.deployment.databases.core() as core:  # instead of waiting for half a minute
        core.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    work(live, 1, "bury-jobs", "resume-analyses")

    done: list[int] = []
    both = asyncio.Barrier(2)

    async def watched(settings: Any, databases: Any, tenant: str, analysis: UUID, number: int) -> Worked:
        if len(done) < 2:  # only if two work at the same time does this end
            done.append(number)
            await asyncio.wait_for(both.wait(), 20)
        else:
            done.append(number)
        return await analyse_slice(settings, databases, tenant, analysis, number)

    monkeypatch.setattr(analyses, "analyse_slice", watched)
    work(live, 2)
    assert sorted(done) == [0, 1, 2]
    assert progress(live, key) == ("done", 6, 0)
    shown = live.get(f"{URL}/forecasts?" + "&".join(f"point={point}" for point in points), owner).json()
    assert [one["state"] for one in shown["items"]] == ["too_short"] * 6
    with live.deployment.databases.core() as core:
        jobs = core.scalar(
            text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = :name"), {"name": ANALYSE_TASK}
        )
    assert jobs == 0


def test_a_slice_that_takes_long_goes_on_behind_the_others(live: Live, monkeypatch: pytest.MonkeyPatch):
    """Every tenant's first slice comes before anybody's second, and what is left of one before the second."""
    monkeypatch.setattr(service, "POINTS_IN_A_SLICE", 2)
    monkeypatch.setattr(analyses, "work_on", partial(work_on, budget=timedelta()))
    for context in (live.deployment.acme, live.deployment.globex):
        furnish(live, context, 4)
        key = begin(live, context)
        with live.deployment.databases.core() as core:
            queue_slices(core, context.slug, key, [0, 1])
    seen: list[tuple[str, int]] = []

    async def watched(settings: Any, databases: Any, tenant: str, analysis: UUID, number: int) -> Worked:
        seen.append((tenant, number))
        return await analyse_slice(settings, databases, tenant, analysis, number)

    monkeypatch.setattr(analyses, "analyse_slice", watched)
    work(live)
    first, second = [("acme", 0), ("globex", 0)], [("acme", 1), ("globex", 1)]
    assert seen == [*first, *first, *second, *second]


def test_what_no_job_stands_for_is_queued_by_the_planner(live: Live):
    furnish(live, live.deployment.acme)
    (planned,), _ = plan_everywhere(live.deployment.databases)
    assert planned == Left("acme", planned.analysis, [0])
    # Its job was lost. An hour later it is the same analysis.
    assert plan_everywhere(live.deployment.databases)[0] == [planned]
    work(live, 1, "plan-analyses")
    with live.deployment.databases.core() as core:
        queued = core.execute(
            text(
                "SELECT args, scheduled_at > now() AS later FROM procrastinate_jobs WHERE task_name = :name"
            ),
            {"name": ANALYSE_TASK},
        ).one()
    assert queued.args == {"tenant": "acme", "analysis": str(planned.analysis), "number": 0, "failed": 0}
    assert queued.later, "spread over some minutes"
    do(live, planned.analysis)
    left, until = plan_everywhere(live.deployment.databases)
    assert left == [], "it is done, and the next one is not due yet"
    assert until.keys() == {"acme"}, "globex has nothing to look at"


def test_a_suspended_tenant_is_left_alone(live: Live):
    furnish(live, live.deployment.acme)
    key = begin(live, live.deployment.acme)
    with live.deployment.databases.core() as core:
        suspend_tenant(core, "acme", "unpaid", actor=SYSTEM)
    try:
        assert plan_everywhere(live.deployment.databases)[0] == []
        do(live, key)
    finally:
        with live.deployment.databases.core() as core:
            resume_tenant(core, "acme", actor=SYSTEM)
    assert progress(live, key) == ("waiting", 0, 0)
    assert plan_everywhere(live.deployment.databases)[0] == [Left("acme", key, [0])]


def test_a_point_that_no_worker_survives_is_left_out(live: Live):
    furnish(live, live.deployment.acme, 2)
    key = begin(live, live.deployment.acme)
    for _ in range(3):
        with live.deployment.databases.tenant(live.deployment.acme) as session:
            taken = take_slice(session, key, 0)
        assert taken is not None
        assert taken.done == 0
    do(live, key)
    assert progress(live, key) == ("done", 2, 1)


def test_a_point_that_cannot_be_analysed_holds_nobody_up(live: Live, monkeypatch: pytest.MonkeyPatch):
    one, other = furnish(live, live.deployment.acme, 2)
    key = begin(live, live.deployment.acme)
    real = look_module.look

    def look(history: Any) -> Any:
        if history.point.id == one:
            raise ZeroDivisionError
        return real(history)

    monkeypatch.setattr("insula_tenants.analytics.analyses.work.look", look)
    do(live, key)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        view = find_analysis(session, key)
        assert session.scalars(text("SELECT point_id FROM forecasts")).all() == [other]
    assert (view.state, view.points_failed, view.error) == ("done", 1, f"point {one}: ZeroDivisionError")


def test_a_job_that_fails_is_done_again_in_a_minute(live: Live, monkeypatch: pytest.MonkeyPatch):
    """Even where the planner has queued the slice while it worked."""
    furnish(live, live.deployment.acme)
    key = begin(live, live.deployment.acme)

    async def fails(*_: Any) -> Worked:
        raise OSError("the database is away")

    monkeypatch.setattr(analyses, "analyse_slice", fails)
    with live.deployment.databases.core() as core:
        queue_slices(core, "acme", key, [0])
    work(live)
    work(live)  # it is not due yet
    with live.deployment.databases.core() as core:
        rows = core.execute(
            text(
                "SELECT status::text, args ->> 'failed' AS failed, scheduled_at > now() AS later"
                " FROM procrastinate_jobs WHERE task_name = :name ORDER BY id"
            ),
            {"name": ANALYSE_TASK},
        ).all()
        assert [tuple(row) for row in rows] == [("failed", None, None), ("todo", "1", True)]
        core.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    monkeypatch.undo()
    work(live)
    assert progress(live, key) == ("done", 1, 0)


def test_of_two_jobs_that_have_the_same_slice_one_stores(live: Live):
    """One was given up for dead, and was not."""
    furnish(live, live.deployment.acme)
    key = begin(live, live.deployment.acme)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        first, second = take_slice(session, key, 0), take_slice(session, key, 0)
        assert first is not None
        assert first == second
        assert note_point(session, first, 0)
        assert not note_point(session, first, 0)
    assert progress(live, key) == ("done", 1, 0)


def test_an_analysis_that_does_not_end_is_given_up_for_a_new_one(live: Live):
    furnish(live, live.deployment.acme)
    key = begin(live, live.deployment.acme)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        session.execute(text("UPDATE analyses SET created_at = now() - interval '13 hours'"))
    ((_, new, _),), _ = plan_everywhere(live.deployment.databases)
    assert new != key
    do(live, key)
    assert progress(live, key) == ("abandoned", 0, 0)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        assert open_slices(session) == (new, [0])


def test_metrics_tell_lag_work_and_failures(monkeypatch: pytest.MonkeyPatch):
    metrics = AnalysisMetrics()
    metrics.look({"acme": datetime.now(UTC) - timedelta(hours=2)})
    metrics.count(Worked(done=5, failed=1))
    with pytest.raises(ZeroDivisionError), metrics.seconds.time(), metrics.failures.count_exceptions():
        raise ZeroDivisionError
    registry = CollectorRegistry()
    registry.register(metrics)
    told = generate_latest(registry).decode()
    assert 'insula_analyses_points_total{outcome="analysed"} 4.0' in told
    assert 'insula_analyses_points_total{outcome="failed"} 1.0' in told
    assert "insula_analyses_job_failures_total 1.0" in told
    assert "insula_analyses_job_seconds_count 1.0" in told
    lag = registry.get_sample_value("insula_analyses_lag_seconds", {"tenant": "acme"})
    assert lag is not None
    assert 7200 <= lag < 7300
    monkeypatch.setattr(time, "time", lambda: datetime.now(UTC).timestamp() + 3 * 3600)
    assert registry.get_sample_value("insula_analyses_lag_seconds", {"tenant": "acme"}) is None
