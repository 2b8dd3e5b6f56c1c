"""Export and import that fail or are killed half-way: nothing half-made is seen, the next try succeeds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.bundle import checksum, fill
from insula_tenants.administration import Administration
from insula_tenants.bundle import export, restore
from insula_tenants.bundle.archive import open_bundle
from insula_tenants.bundle.export import export_tenant
from insula_tenants.bundle.restore import import_bundle
from insula_tenants.errors import Conflict, NotFound
from insula_tenants.registry import list_tenants, resolve_tenant
from tests.conftest import Deployment
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
READINGS = 30_000

# Says which step it is at, and waits there to be killed.
CHILD = """
import json, os, sys, time
from pathlib import Path
from insula_tenants.administration import Administration
from insula_tenants.bundle.export import export_tenant
from insula_tenants.bundle.restore import import_bundle
from insula_tenants.database import Databases
from insula_tenants.registry import resolve_tenant

admin_url, service_url, what, path, slug, stop = json.loads(os.environ["CHILD"])

def progress(step, done, total):
    if step == stop or (stop == "readings" and done):
        print("there", flush=True)
        time.sleep(100)

if what == "export":
    databases = Databases({"main": service_url})
    with databases.core() as core:
        context = resolve_tenant(core, slug)
    export_tenant(databases, context, Path(path), progress=progress)
else:
    import_bundle(Administration({"main": admin_url}), Path(path), slug, progress=progress)
"""


class Stopped(Exception):
    """What the tests throw in."""


@pytest.fixture(scope="module")
def admins(deployment: Deployment) -> Iterator[Administration]:
    """The administrator's connections."""
    administration = Administration({"main": deployment.admin_url})
    yield administration
    administration.close()


@pytest.fixture(scope="module")
def bundle(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of acme."""
    fill(deployment.databases, deployment.acme, READINGS)
    path = tmp_path_factory.mktemp("bundle") / "acme.zip"
    return export_tenant(deployment.databases, deployment.acme, path).path


def kill_at(deployment: Deployment, what: str, path: Path, slug: str, stop: str) -> None:
    """Run an export or import in a process of its own and kill -9 it at the step `stop`."""
    told = json.dumps([deployment.admin_url, deployment.service_url, what, str(path), slug, stop])
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env=os.environ | {"CHILD": told},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL


def assert_invisible(deployment: Deployment, slug: str) -> None:
    """Nobody finds the tenant, whatever is there of it."""
    with deployment.databases.core() as core:
        with pytest.raises(NotFound):
            resolve_tenant(core, slug)
        assert all(tenant.status == "creating" for tenant in list_tenants(core) if tenant.slug == slug)


def assert_whole(deployment: Deployment, slug: str) -> None:
    """The tenant is acme again, row for row."""
    with deployment.databases.core() as core:
        context = resolve_tenant(core, slug)
        assert core.scalar(text("SELECT status FROM tenants WHERE slug = :slug"), {"slug": slug}) == "active"
    assert checksum(deployment.databases, context) == checksum(deployment.databases, deployment.acme)
    rows = text(
        "SELECT string_agg(one::text, ';' ORDER BY one::text) FROM"
        " (SELECT devices::text FROM devices UNION ALL SELECT points::text FROM points"
        " UNION ALL SELECT device_credentials::text FROM device_credentials"
        " UNION ALL SELECT latest::text FROM latest) AS one"
    )
    with deployment.databases.tenant(context) as copy, deployment.databases.tenant(deployment.acme) as acme:
        assert copy.scalar(rows) == acme.scalar(rows)


@pytest.mark.parametrize(
    "step", ["_check_version", "_register", "build_schema", "_load", "_load_readings", "_publish"]
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_import_that_fails_at_a_step_is_repeated(
    deployment: Deployment,
    admins: Administration,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    moment: str,
):
    slug = f"failed-{moment}{step.replace('_', '-')}"
    real = getattr(restore, step)

    def failing(*arguments, **options):
        if moment == "after":
            real(*arguments, **options)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(restore, step, failing)
        with pytest.raises(Stopped):
            import_bundle(admins, bundle, slug)
    assert_invisible(deployment, slug)
    assert import_bundle(admins, bundle, slug).readings == READINGS
    assert_whole(deployment, slug)


@pytest.mark.parametrize("stop", ["preparing", "points", "readings", "comparing", "publishing"])
def test_an_import_that_is_killed_is_repeated(
    deployment: Deployment, admins: Administration, bundle: Path, stop: str
):
    slug = f"killed-{stop}"
    kill_at(deployment, "import", bundle, slug, stop)
    assert_invisible(deployment, slug)

    def again() -> bool:
        """The server notices that the client is gone a moment later: until then its lock holds."""
        try:
            import_bundle(admins, bundle, slug)
        except Conflict:
            return False
        return True

    eventually(again, what="the repeated import")
    assert_whole(deployment, slug)


def test_an_import_is_not_begun_in_one_database_and_ended_in_another(
    deployment: Deployment, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second name is the same database here: the registry alone must refuse."""
    both = Administration({"main": deployment.admin_url, "annex": deployment.admin_url})
    with monkeypatch.context() as patch:
        patch.setattr(restore, "_load", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            import_bundle(both, bundle, "moved", database="annex")
    with pytest.raises(Conflict, match="begun in the database 'annex'"):
        import_bundle(both, bundle, "moved")
    both.close()


@pytest.mark.parametrize("step", ["_read_registry", "lines_of", "months_of", "copy_out", "detect_engine"])
def test_an_export_that_fails_leaves_no_file(
    deployment: Deployment, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    def failing(*_arguments, **_options):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(export, step, failing)
        with pytest.raises(Stopped):
            export_tenant(deployment.databases, deployment.acme, tmp_path / "acme.zip")
    assert list(tmp_path.iterdir()) == []
    again = export_tenant(deployment.databases, deployment.acme, tmp_path / "acme.zip")
    assert again.manifest.readings.rows == READINGS


@pytest.mark.parametrize("stop", ["devices", "readings"])
def test_an_export_that_is_killed_leaves_no_bundle_and_is_repeated(
    deployment: Deployment, bundle: Path, tmp_path: Path, stop: str
):
    path = tmp_path / "acme.zip"
    kill_at(deployment, "export", path, "acme", stop)
    assert not path.exists(), "what looks like a bundle is one"
    export_tenant(deployment.databases, deployment.acme, path)
    assert [each.name for each in tmp_path.iterdir()] == ["acme.zip"]
    with open_bundle(path) as again, open_bundle(bundle) as first:
        assert again.manifest.members == first.manifest.members
