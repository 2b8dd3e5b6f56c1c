"""A worker that dies leaves nothing behind that keeps the next one from its work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from pydantic import SecretStr
from sqlalchemy import text

from insula_platform.settings import PlatformSettings
from insula_platform.worker.app import make_app
from insula_tenants.database import Databases
from tests.platform.conftest import Live


@pytest.fixture(scope="module")
def settings(live: Live) -> PlatformSettings:
    """The platform's, with the administrator's URL, which the worker has."""
    return live.settings.model_copy(update={"database_admin_url": SecretStr(live.deployment.admin_url)})


@contextmanager
def opened(live: Live, settings: PlatformSettings) -> Iterator[App]:
    """The worker's application; its queue is opened by whoever uses it."""
    with closing(Databases({"main": live.deployment.service_url}, pool_size=4)) as databases:
        yield make_app(settings, databases)


def defer(live: Live, settings: PlatformSettings, name: str) -> None:
    """Queue a job, unless the clock did so already."""

    async def once(app: App) -> None:
        async with app.open_async():
            with suppress(AlreadyEnqueued):
                await app.tasks[name].defer_async(timestamp=0)

    with opened(live, settings) as app:
        asyncio.run(once(app))


def work(live: Live, settings: PlatformSettings, *names: str) -> None:
    """A worker that does these jobs and what else there is to do, and leaves."""

    async def once(app: App) -> None:
        async with app.open_async():
            await app.run_worker_async(
                queues=["default"], wait=False, install_signal_handlers=False, delete_jobs="successful"
            )

    for name in names:
        defer(live, settings, name)
    with opened(live, settings) as app:
        asyncio.run(once(app))


def jobs(live: Live, name: str) -> dict[int, str]:
    """The jobs of this name: id → state."""
    with live.deployment.databases.core() as core:
        rows = core.execute(
            text("SELECT id, status::text FROM procrastinate_jobs WHERE task_name = :name ORDER BY id"),
            {"name": name},
        )
        return {row.id: row.status for row in rows}


def taken_by_another(live: Live, job: int) -> int:
    """Make it look as if another worker were in the middle of the job; the worker's id."""
    with live.deployment.databases.core() as core:
        worker = core.scalar(text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"))
        core.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id = :job"),
            {"worker": worker, "job": job},
        )
    return int(worker)


@pytest.mark.parametrize("name", ["erase-tenants", "measure-tenants"])
def test_the_next_job_waits_for_a_worker_that_lives_and_not_for_one_that_died(
    live: Live, settings: PlatformSettings, name: str
):
    defer(live, settings, name)
    (first,) = jobs(live, name)
    other = taken_by_another(live, first)
    work(live, settings, name, "bury-jobs")
    left = jobs(live, name)
    assert left.pop(first) == "doing"
    ((second, state),) = left.items()
    assert state == "todo"
    with live.deployment.databases.core() as core:
        core.execute(
            text(
                "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour' WHERE id = :id"
            ),
            {"id": other},
        )
    work(live, settings, "bury-jobs")
    work(live, settings)
    assert not {first, second} & jobs(live, name).keys()


def test_an_export_is_not_buried(live: Live, settings: PlatformSettings):
    with live.deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
                " VALUES ('default', 'export-tenant', 'doing', '{}')"
            )
        )
    work(live, settings, "bury-jobs")
    assert list(jobs(live, "export-tenant").values()) == ["doing"]


def test_jobs_that_failed_are_forgotten_after_a_week(live: Live, settings: PlatformSettings):
    with live.deployment.databases.core() as core:
        for days in (6, 8):
            core.execute(
                text(
                    "WITH failed AS (INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
                    " VALUES ('default', 'no-such-task', 'failed', '{}') RETURNING id)"
                    " INSERT INTO procrastinate_events (job_id, type, at)"
                    " SELECT id, 'failed', now() - make_interval(days => :days) FROM failed"
                ),
                {"days": days},
            )
        # The insert has noted an event of its own, of now.
        core.execute(text("DELETE FROM procrastinate_events WHERE type <> 'failed'"))
    work(live, settings, "purge-expired")
    assert len(jobs(live, "no-such-task")) == 1
