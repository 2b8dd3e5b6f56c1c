"""A tenant's owner takes everything away in a file; nobody else does."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from benchmarks.bundle import checksum, fill
from insula_platform.bundles import service, tasks
from insula_platform.bundles.files import LIFETIME, bundle_path
from insula_platform.bundles.service import find_export, request_export, run_export
from insula_platform.bundles.tasks import forget_bundles
from insula_platform.oauth.scopes import cut_to_role
from insula_platform.worker.app import make_app
from insula_tenants.audit import list_entries
from insula_tenants.bundle import export
from insula_tenants.bundle.archive import open_bundle
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.errors import NotFound
from insula_tenants.registry import resolve_tenant
from tests.conftest import Deployment
from tests.platform.conftest import Live

ROOT = Path(__file__).resolve().parents[2]
EXPORTS = "/api/v1/tenants/acme/exports"
READINGS = 2_000


@pytest.fixture(scope="module")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this platform keeps bundles."""
    directory = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_BUNDLE_DIR", str(directory))
        yield directory


@pytest.fixture(scope="module")
def live(bundle_dir: Path, live: Live) -> Live:
    """The platform, with something to export."""
    assert live.settings.bundle_dir == bundle_dir
    fill(live.deployment.databases, live.deployment.acme, READINGS)
    return live


@pytest.fixture(scope="module")
def owner(live: Live) -> str:
    """Ada's token."""
    return live.tokens_of("ada@example.com", scope="openid data:export")["access_token"]


@pytest.fixture(autouse=True)
def no_jobs_of_others(deployment: Deployment) -> Iterator[None]:
    """Each test ends with an empty queue and nothing under way."""
    yield
    with deployment.databases.core() as core:
        core.execute(text("DELETE FROM procrastinate_jobs"))
        core.execute(text("UPDATE tenant_jobs SET state = 'failed' WHERE state IN ('waiting', 'running')"))


def work(live: Live, *deferred: str) -> None:
    """A worker that does what there is to do, and leaves."""
    with closing(Databases({"main": live.deployment.service_url}, pool_size=4)) as databases:
        app = make_app(live.settings, databases)

        async def once() -> None:
            async with app.open_async():
                for name in deferred:
                    await app.configure_task(name).defer_async(timestamp=0)
                await app.run_worker_async(wait=False, concurrency=4, install_signal_handlers=False)

        asyncio.run(once())


def post(live: Live, token: str, path: str = EXPORTS):
    with live.client() as client:
        return client.post(path, headers={"Authorization": f"Bearer {token}"})


def told(deployment: Deployment, context: TenantContext) -> list[tuple[str, str, Any]]:
    """What the audit log has of the tenant's bundles, oldest first."""
    with deployment.databases.core() as core:
        return [
            (entry.action, entry.actor_kind, entry.detail)
            for entry in reversed(list_entries(core, tenant=context.id))
            if "export" in entry.action
        ]


def requested(deployment: Deployment, context: TenantContext) -> UUID:
    with deployment.databases.core() as core:
        return request_export(core, context).id


def test_an_owner_asks_waits_and_fetches(live: Live, owner: str, tmp_path: Path):
    asked = post(live, owner)
    assert asked.status_code == 202, asked.text
    assert asked.json()["state"] == "waiting"
    assert asked.headers["location"] == f"{EXPORTS}/{asked.json()['id']}"
    assert post(live, owner).json() == asked.json(), "asking again is answered with the same export"
    early = live.get(f"{asked.headers['location']}/bundle", owner)
    assert (early.status_code, early.json()["type"]) == (409, "/problems/conflict")

    work(live)

    shown = live.get(asked.headers["location"], owner).json()
    assert (shown["state"], shown["done"], shown["total"], shown["error"]) == (
        "done",
        READINGS,
        READINGS,
        None,
    )
    fetched = live.get(shown["bundle"], owner)
    assert fetched.status_code == 200
    assert fetched.headers["content-type"] == "application/zip"
    assert fetched.headers["cache-control"] == "no-store"
    assert 'filename="acme-' in fetched.headers["content-disposition"]
    assert len(fetched.content) == shown["bytes"]
    (tmp_path / "fetched.zip").write_bytes(fetched.content)
    with open_bundle(tmp_path / "fetched.zip") as bundle:
        assert bundle.manifest.tenant.slug == "acme"
        assert bundle.manifest.readings.rows == READINGS
    with live.client() as client:
        headers = {"Authorization": f"Bearer {owner}", "Range": "bytes=100-199"}
        part = client.get(shown["bundle"], headers=headers)
    assert (part.status_code, part.content) == (206, fetched.content[100:200])
    assert told(live.deployment, live.deployment.acme) == [
        ("tenant.export_requested", "person", {"export": shown["id"]}),
        ("tenant.export_downloaded", "person", {"export": shown["id"]}),
    ], "asking again, asking early and a piece of the bundle are no news"
    assert told(live.deployment, live.deployment.globex) == []
    assert post(live, owner).json()["id"] != shown["id"], "a new export after one that is done"


@pytest.mark.parametrize("person", ["victor@example.com", "erin@example.com"])
def test_only_an_owner_may(live: Live, owner: str, person: str):
    asking = live.tokens_of(person, scope="openid devices:read data:export", tenant="acme")
    assert "data:export" not in asking["scope"]
    assert cut_to_role("data:export", "admin") == ""
    assert cut_to_role("data:export", "owner") == "data:export"
    refused = post(live, asking["access_token"])
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/insufficient-scope")
    export_id = requested(live.deployment, live.deployment.acme)
    for path in (f"{EXPORTS}/{export_id}", f"{EXPORTS}/{export_id}/bundle"):
        assert live.get(path, asking["access_token"]).status_code == 403
        assert live.get(path).status_code == 401
    assert live.get(f"{EXPORTS}/{export_id}", owner).status_code == 200


def test_an_export_of_a_neighbour_looks_like_none(live: Live, owner: str, bundle_dir: Path):
    foreign = requested(live.deployment, live.deployment.globex)
    run_export(live.deployment.databases, bundle_dir, foreign)
    nobodys = uuid4()
    for leaf in ("", "/bundle"):
        denied = live.get(f"{EXPORTS}/{foreign}{leaf}", owner)
        missing = live.get(f"{EXPORTS}/{nobodys}{leaf}", owner)
        assert denied.status_code == missing.status_code == 404
        assert denied.text.replace(str(foreign), "ID") == missing.text.replace(str(nobodys), "ID")
        there = live.get(f"/api/v1/tenants/globex/exports/{foreign}{leaf}", owner)
        nowhere = live.get(f"/api/v1/tenants/no-such-tenant/exports/{foreign}{leaf}", owner)
        assert there.status_code == nowhere.status_code == 404
        assert there.text.replace("globex", "no-such-tenant") == nowhere.text
    assert post(live, owner, "/api/v1/tenants/globex/exports").status_code == 404
    assert live.get(f"{EXPORTS}/..%2f..%2fetc", owner).status_code in {404, 422}


def test_a_bundle_expires(live: Live, owner: str, bundle_dir: Path):
    export_id = requested(live.deployment, live.deployment.acme)
    run_export(live.deployment.databases, bundle_dir, export_id)
    path = bundle_path(bundle_dir, live.deployment.acme.id, export_id)
    partial = path.with_name(f"{uuid4()}.zip.part")
    partial.write_bytes(b"left by a killed worker")
    strange = bundle_dir / "notes"
    strange.mkdir()
    (strange / "keep.zip").write_bytes(b"not ours")
    forget_bundles(live.settings, live.deployment.databases)
    assert live.get(f"{EXPORTS}/{export_id}/bundle", owner).status_code == 200
    for each in (path, partial, strange / "keep.zip"):
        os.utime(each, (time.time() - LIFETIME - 60,) * 2)
    forget_bundles(live.settings, live.deployment.databases)
    gone = live.get(f"{EXPORTS}/{export_id}/bundle", owner)
    assert gone.status_code == 404
    assert "has expired" in gone.json()["detail"]
    assert not partial.exists()
    assert (strange / "keep.zip").exists(), "only what is named as bundles are"


def test_bundles_of_a_tenant_that_is_no_more_go_with_it(live: Live, bundle_dir: Path):
    gone = bundle_path(bundle_dir, uuid4(), uuid4())
    gone.parent.mkdir()
    gone.write_bytes(b"of an erased tenant")
    forget_bundles(live.settings, live.deployment.databases)
    assert not gone.parent.exists()


def test_an_export_that_fails_says_so_and_can_be_asked_for_again(
    live: Live, owner: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError("No space left on /srv/very/private/path")

    asked = post(live, owner)
    with monkeypatch.context() as patch:
        patch.setattr(export, "export_tenant", fail)
        work(live)
    shown = live.get(asked.headers["location"], owner).json()
    assert shown["state"] == "failed"
    assert "on our side" in shown["error"]
    assert "private" not in shown["error"]
    again = post(live, owner)
    assert again.json()["id"] != shown["id"]
    work(live)
    assert live.get(again.headers["location"], owner).json()["state"] == "done"


def test_an_export_whose_job_was_lost_does_not_stand_in_the_way(live: Live, owner: str):
    asked = post(live, owner)
    work(live, "resume-exports")
    assert live.get(asked.headers["location"], owner).json()["state"] == "done"
    asked = post(live, owner)
    with live.deployment.databases.core() as core:
        core.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = 'export-tenant'"))
    work(live, "resume-exports")
    shown = live.get(asked.headers["location"], owner).json()
    assert (shown["state"], shown["error"]) == ("failed", "it was interrupted: ask for another export")


# A worker that stops in the middle of the first export it gets, says so, and waits to be killed.
CHILD = """
import asyncio, time
from insula_platform.bundles import service
from insula_platform.settings import PlatformSettings
from insula_platform.worker.app import run

class Stops:
    def __init__(self, databases, job_id):
        pass
    def __call__(self, step, done, total):
        if done:
            print("there", flush=True)
            time.sleep(100)

service._Reporter = Stops
run(PlatformSettings())
"""


def test_an_export_whose_worker_was_killed_is_done_by_another(live: Live, owner: str, bundle_dir: Path):
    asked = post(live, owner)
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
    half = live.get(asked.headers["location"], owner).json()
    assert (half["state"], half["bundle"]) == ("running", None)
    with live.deployment.databases.core() as core:  # instead of waiting for half a minute
        core.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    work(live, "resume-exports")
    work(live)
    shown = live.get(asked.headers["location"], owner).json()
    assert (shown["state"], shown["done"]) == ("done", READINGS)
    with zipfile.ZipFile(io.BytesIO(live.get(shown["bundle"], owner).content)) as archive:
        assert archive.testzip() is None


def test_one_export_runs_at_a_time(live: Live, monkeypatch: pytest.MonkeyPatch):
    running = threading.Lock()
    seen: list[bool] = []

    def watched(databases: Databases, directory: Path, job_id: UUID) -> None:
        alone = running.acquire(blocking=False)
        seen.append(alone)
        run_export(databases, directory, job_id)
        if alone:
            running.release()

    monkeypatch.setattr(tasks, "run_export", watched)
    jobs = {
        context: requested(live.deployment, context)
        for context in (live.deployment.acme, live.deployment.globex)
    }
    work(live)
    assert seen == [True], "the second waits, though the worker has hands for four"
    work(live)
    assert seen == [True, True]
    with live.deployment.databases.core() as core:
        assert {find_export(core, context, job).state for context, job in jobs.items()} == {"done"}


def test_requests_that_meet_get_one_export(live: Live, owner: str):
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(live, owner).json()["id"])) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 6
    assert len(set(answers)) == 1


def test_progress_is_written_while_it_runs(live: Live, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str | None, int, int | None]] = []
    real = service._Reporter.__call__
    job_id = requested(live.deployment, live.deployment.acme)

    def observed(self, step: str, done: int, total: int) -> None:
        real(self, step, done, total)
        with live.deployment.databases.core() as core:
            job = find_export(core, live.deployment.acme, job_id)
        assert job.state == "running"
        seen.append((job.step, job.done, job.total))

    monkeypatch.setattr(service, "_REPORT_EVERY", 0)
    monkeypatch.setattr(service._Reporter, "__call__", observed)
    run_export(live.deployment.databases, bundle_dir, job_id)
    assert ("devices", 0, None) in seen
    assert seen[-1][1:] == (READINGS, READINGS)


def insula(live: Live, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, as an operator uses it."""
    urls = {
        "INSULA_DATABASE_URL": live.deployment.service_url,
        "INSULA_DATABASE_ADMIN_URL": live.deployment.admin_url,
    }
    command = [sys.executable, "-m", "insula_platform", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | urls | environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_exports_and_imports(live: Live, tmp_path: Path):
    path = tmp_path / "acme.zip"
    exported = insula(live, "tenant", "export", "acme", "--to", str(path), "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["readings"] == READINGS
    imported = insula(live, "tenant", "import", str(path), "--as", "acme-again", "--json")
    assert imported.returncode == 0, imported.stderr
    told = json.loads(imported.stdout)
    assert (told["slug"], told["readings"], told["devices"]) == ("acme-again", READINGS, 10)
    assert told["devices_need_passwords"] is False
    assert "ada@example.com" in told["members"]
    with live.deployment.databases.core() as core:
        again = resolve_tenant(core, "acme-again")
    databases = live.deployment.databases
    assert checksum(databases, again) == checksum(databases, live.deployment.acme)

    shown = insula(
        live, "tenant", "import", str(path), "--as", "acme-third", INSULA_BROKER_ACCESS="dynamic-security"
    )
    assert shown.returncode == 0, shown.stderr
    assert "devices need new passwords" in shown.stdout
    refused = insula(live, "tenant", "import", str(path))
    assert refused.returncode == 1
    assert "there is a tenant 'acme' already" in " ".join(refused.stderr.split())


def test_the_command_line_refuses_what_is_no_bundle_in_one_sentence(live: Live, tmp_path: Path):
    path = tmp_path / "x.zip"
    path.write_text("hello")
    refused = insula(live, "tenant", "import", str(path), "--as", "acme-fourth")
    assert refused.returncode == 1
    assert "the bundle is refused: it is no zip" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    with live.deployment.databases.core() as core, pytest.raises(NotFound):
        resolve_tenant(core, "acme-fourth")
