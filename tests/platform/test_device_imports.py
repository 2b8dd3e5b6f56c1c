"""Many devices by one file: judged row by row, all or the good ones, done by the worker, told once."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from insula_platform.device_imports.service import forget_credentials, run_import
from insula_tenants.audit import SYSTEM
from insula_tenants.broker import (
    BrokerUnreachable,
    DeviceGrant,
    PasswordHash,
    RegistryReader,
    verify_password,
)
from insula_tenants.database import Databases
from insula_tenants.device_imports import work
from insula_tenants.devices import Device, DeviceCredential, Point
from insula_tenants.devices.service import NewDevice, register
from insula_tenants.lifecycle import TenantJob
from insula_tenants.quotas import put_quotas
from insula_tenants.spaces import ensure_space
from tests.platform.conftest import Live
from tests.platform.test_devices_api import Program

_numbers = count(1)
PLACE = "HQ/Main/Ground floor/Lobby"


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    with live.client() as client:
        yield client


@pytest.fixture(scope="module")
def acme(live: Live, http: httpx.Client) -> Uploader:
    with live.deployment.databases.core() as core:
        put_quotas(core, "acme", own={"devices": 50_000, "points": 500_000}, actor=SYSTEM)
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        ensure_space(
            session,
            site="HQ",
            building="Main",
            time_zone="UTC",
            storey="Ground floor",
            level=0,
            name="Lobby",
        )
    return Uploader(live, http, "acme")


@pytest.fixture(scope="module")
def globex(live: Live, http: httpx.Client) -> Uploader:
    return Uploader(live, http, "globex")


@pytest.fixture
def prefix() -> str:
    return f"row{next(_numbers)}"


class Uploader(Program):
    """A program that sends files."""

    def __init__(self, live: Live, http: httpx.Client, tenant: str) -> None:
        super().__init__(live, http, tenant)
        self.live = live

    def send(self, content: str | bytes, query: str = "", kind: str = "text/csv") -> httpx.Response:
        return self._http.post(
            f"{self._path}device-imports?{query}",
            content=content.encode() if isinstance(content, str) else content,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind},
        )

    def upload(self, content: str, query: str = "") -> str:
        """The id of an upload that was taken in."""
        answer = self.send(content, query)
        assert answer.status_code == 202, answer.text
        told: str = answer.json()["id"]
        return told

    def work(
        self, upload: str, broker: RegistryReader | None = None, databases: Databases | None = None
    ) -> None:
        """What the worker does."""
        databases = databases or self.live.deployment.databases
        run_import(databases, broker or RegistryReader(), self.live.settings.secret_key, UUID(upload))

    def shown(self, upload: str) -> dict[str, Any]:
        answer = self.ask("GET", f"device-imports/{upload}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def fetch(self, upload: str) -> httpx.Response:
        return self.ask("POST", f"device-imports/{upload}/credentials")


def sheet(rows: Iterable[Sequence[str]], header: str = "device,name") -> str:
    written = io.StringIO()
    csv.writer(written).writerows([header.split(","), *rows])
    return written.getvalue()


def credentials(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def how_many(live: Live, prefix: str) -> int:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        query = select(func.count()).select_from(Device).where(Device.slug.startswith(f"{prefix}-"))
        return session.scalar(query) or 0


def opens(live: Live, device: str, password: str) -> bool:
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        row = session.execute(
            select(DeviceCredential.password_hash, DeviceCredential.salt, DeviceCredential.iterations)
            .join(Device, Device.id == DeviceCredential.device_id)
            .where(Device.slug == device)
        ).one()
        return verify_password(password, PasswordHash(bytes(row[0]), bytes(row[1]), row[2]))


@pytest.mark.long
def test_five_thousand_devices_come_in_by_one_file(live: Live, acme: Uploader, prefix: str):
    rows = [
        (f"{prefix}-{n}", f"Sensor {n}", "temperature-sensor", PLACE, f"SN{n}", "floor=0;wing=west")
        for n in range(5000)
    ]
    content = sheet(rows, "device,name,type,space,serial,labels")
    report = acme.send(content, "dry_run=true").json()
    assert (report["rows"], report["new"], report["bad"]) == (5000, 5000, 0)
    assert how_many(live, prefix) == 0
    upload = acme.upload(content)
    assert acme.shown(upload)["state"] == "waiting"
    acme.work(upload)
    shown = acme.shown(upload)
    assert (shown["state"], shown["done"], shown["total"]) == ("done", 5000, 5000)
    assert how_many(live, prefix) == 5000
    told = credentials(acme.fetch(upload))
    assert [one["device"] for one in told] == [row[0] for row in rows]
    assert opens(live, told[4321]["device"], told[4321]["password"])
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        device = session.scalars(select(Device).where(Device.slug == f"{prefix}-7")).one()
        assert (device.serial, device.labels) == ("SN7", {"floor": "0", "wing": "west"})
        assert session.scalars(select(Point.name).where(Point.device_id == device.id)).all() == [
            "temperature"
        ]
    again = acme.send(content).json()
    assert (again["state"], again["total"], again["report"]["unchanged"]) == ("done", 0, 5000)
    assert acme.fetch(again["id"]).status_code == 409


def test_each_bad_row_names_its_line_its_column_and_what_would_be_right(acme: Uploader, prefix: str):
    header = "device,name,type,space,gateway,serial,expected_interval,labels"
    good = [f"{prefix}-1", "Good", "temperature-sensor", PLACE, "", "", "60", "a=1"]

    def row(**changes: str) -> list[str]:
        names = header.split(",")
        return [changes.get(name, value) for name, value in zip(names, good, strict=True)]

    bad = {
        "device": row(device="NOT A SLUG"),
        "name": row(device=f"{prefix}-2", name=""),
        "type": row(device=f"{prefix}-3", type="no-such-type"),
        "space": row(device=f"{prefix}-4", space="HQ/Main/Attic/Lobby"),
        "gateway": row(device=f"{prefix}-5", gateway=f"{prefix}-later"),
        "serial": row(device=f"{prefix}-6", serial="\x07"),
        "expected_interval": row(device=f"{prefix}-7", expected_interval="often"),
        "labels": row(device=f"{prefix}-8", labels="no value"),
    }
    report = acme.send(sheet([good, *bad.values(), good], header), "dry_run=true").json()
    results = report["results"]
    assert results[0]["outcome"] == "new"
    assert [one["field"] for one in results[1:-1]] == list(bad)
    assert all(one["reason"] for one in results[1:])
    assert (results[-1]["line"], results[-1]["field"]) == (11, "device")
    assert (report["new"], report["bad"]) == (1, 9)


def test_all_rows_or_the_good_ones_as_asked(live: Live, acme: Uploader, prefix: str):
    content = sheet([(f"{prefix}-1", "One"), ("BAD", "Two"), (f"{prefix}-3", "Three")])
    refused = acme.send(content)
    assert refused.status_code == 422
    assert "line 3" in refused.json()["detail"]
    assert how_many(live, prefix) == 0
    upload = acme.upload(content, "on_error=skip")
    acme.work(upload)
    assert acme.shown(upload)["report"]["bad"] == 1
    assert {one["device"] for one in credentials(acme.fetch(upload))} == {f"{prefix}-1", f"{prefix}-3"}


def test_a_file_changes_nothing_of_what_is_there(live: Live, acme: Uploader, prefix: str):
    acme.work(acme.upload(sheet([(f"{prefix}-1", "One")])))
    report = acme.send(sheet([(f"{prefix}-1", "Another")]), "dry_run=true").json()
    assert (report["results"][0]["outcome"], report["results"][0]["field"]) == ("bad", "name")
    report = acme.send(sheet([(f"{prefix}-1", "One")]), "dry_run=true").json()
    assert report["results"][0]["outcome"] == "unchanged"


def test_json_and_semicolons_and_gateways(acme: Uploader, prefix: str):
    rows = [
        {"device": f"{prefix}-gw", "name": "Gateway"},
        {"device": f"{prefix}-1", "name": "Child", "gateway": f"{prefix}-gw", "labels": {"a": "b"}},
    ]
    report = acme.send(json.dumps(rows), "dry_run=true", "application/json").json()
    assert [one["outcome"] for one in report["results"]] == ["new", "new"]
    report = acme.send(f"\ufeffdevice;name\r\n{prefix}-1;One, two\r\n", "dry_run=true").json()
    assert report["results"] == [
        {"line": 2, "device": f"{prefix}-1", "outcome": "new", "field": None, "reason": None}
    ]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"\xff\xfe", "text/csv", "UTF-8"),
        ("", "text/csv", "'device' is missing"),
        ("device,name\n", "text/csv", "no row"),
        ("device,nmae\nlamp-1,Lamp\n", "text/csv", "'nmae' is unknown"),
        ("device,name\nlamp-1\n", "text/csv", "line 2 has 1 cells"),
        ('device,name\n"lamp-1,Lamp\n', "text/csv", "line 2"),
        ("{}", "application/json", "an array"),
        ("[1]", "application/json", "item 1 is no object"),
        ("[" * 100_000, "application/json", "no JSON"),
        ("x", "application/xml", "text/csv or application/json"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_fix(
    acme: Uploader, content: str | bytes, kind: str, said: str
):
    answer = acme.send(content, "dry_run=true", kind)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_worker_that_dies_leaves_the_rest_to_the_next(live: Live, acme: Uploader, prefix: str):
    class Dying(RegistryReader):
        """Admits what it is given once, then the broker is gone."""

        def __init__(self) -> None:
            self.admitted: list[str] = []

        def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
            if self.admitted:
                raise BrokerUnreachable("it is away")
            self.admitted += [grant.device for grant in grants]

    upload = acme.upload(sheet((f"{prefix}-{n}", f"Sensor {n}") for n in range(250)))
    broker = Dying()
    with pytest.raises(BrokerUnreachable):
        acme.work(upload, broker)
    shown = acme.shown(upload)
    assert (shown["state"], shown["step"], shown["done"]) == ("running", "admitting", 100)
    rest: list[str] = []

    class Well(RegistryReader):
        def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
            rest.extend(grant.device for grant in grants)

    acme.work(upload, Well())
    assert sorted(broker.admitted + rest) == sorted(f"{prefix}-{n}" for n in range(250))
    told = credentials(acme.fetch(upload))
    assert all(opens(live, one["device"], one["password"]) for one in told[:100:33])


def test_one_that_died_before_it_noted_what_it_had_registered_goes_on(
    live: Live, acme: Uploader, prefix: str
):
    upload = acme.upload(sheet([(f"{prefix}-1", "One")]))
    acme.work(upload)
    with live.deployment.databases.core() as core:
        job = core.get_one(TenantJob, UUID(upload))
        job.state, job.step, job.done = "running", "registering", 0
    acme.work(upload)
    (told,) = credentials(acme.fetch(upload))
    assert opens(live, told["device"], told["password"])


def test_two_workers_at_the_same_upload_do_it_once(
    live: Live, acme: Uploader, prefix: str, monkeypatch: pytest.MonkeyPatch
):
    together, look = threading.Barrier(2), work._registered

    def looked(session: Session, passwords: Mapping[str, str]) -> set[str]:
        found = look(session, passwords)
        with suppress(threading.BrokenBarrierError):  # both have looked, and none has registered
            together.wait(0.5)
        return found

    monkeypatch.setattr(work, "_registered", looked)
    upload = acme.upload(sheet((f"{prefix}-{n}", "Sensor") for n in range(3)))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: acme.work(upload), range(2)))
    assert acme.shown(upload)["state"] == "done"
    assert all(opens(live, one["device"], one["password"]) for one in credentials(acme.fetch(upload)))
    assert how_many(live, prefix) == 3


def test_an_upload_needs_one_connection_at_a_time(live: Live, acme: Uploader, prefix: str):
    upload = acme.upload(sheet([(f"{prefix}-1", "One")]))
    with closing(Databases({"main": live.deployment.service_url}, pool_size=1)) as databases:
        acme.work(upload, databases=databases)
    assert acme.shown(upload)["state"] == "done"


def test_a_device_that_is_taken_out_of_use_meanwhile_has_no_login_at_the_broker(acme: Uploader, prefix: str):
    there: set[str] = set()

    class Slow(RegistryReader):
        """Somebody decommissions the first device just before the broker hears of it."""

        def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
            assert acme.ask("DELETE", f"devices/{prefix}-1").status_code == 204
            there.update(grant.login for grant in grants)

        def withdraw(self, tenant_slug: str, device_slug: str, username: str) -> None:
            super().withdraw(tenant_slug, device_slug, username)
            there.discard(username)

    acme.work(acme.upload(sheet([(f"{prefix}-1", "One"), (f"{prefix}-2", "Two")])), Slow())
    assert there == {f"acme/{prefix}-2"}


def test_somebody_elses_device_is_never_given_another_login(live: Live, acme: Uploader, prefix: str):
    upload = acme.upload(sheet([(f"{prefix}-1", "One"), (f"{prefix}-2", "Two")]))
    with live.deployment.databases.tenant(live.deployment.acme) as session:
        register(session, NewDevice(f"{prefix}-2", "Somebody else's"))
    with pytest.raises(Exception, match="made meanwhile"):
        acme.work(upload)
    assert acme.shown(upload)["state"] == "failed"
    assert "made meanwhile" in acme.shown(upload)["error"]
    assert how_many(live, prefix) == 1


def test_logins_are_told_once_within_a_day_and_lie_sealed_until_then(live: Live, acme: Uploader, prefix: str):
    late, taken = acme.upload(sheet([(f"{prefix}-1", "One")])), acme.upload(sheet([(f"{prefix}-2", "Two")]))
    assert acme.fetch(taken).status_code == 409
    for upload in (late, taken):
        acme.work(upload)
    first = acme.fetch(taken)
    assert first.headers["cache-control"] == "no-store"
    password = credentials(first)[0]["password"]
    assert acme.fetch(taken).status_code == 409
    with live.deployment.databases.core() as core:
        kept = "".join(str(row) for row in core.execute(text("SELECT * FROM tenant_jobs")))
        kept += "".join(str(row) for row in core.execute(text("SELECT * FROM audit_log")))
        assert password not in kept
        job = core.get_one(TenantJob, UUID(late))
        core.execute(
            text("UPDATE tenant_jobs SET updated_at = now() - interval '25 hours' WHERE id = :id"),
            {"id": job.id},
        )
        forget_credentials(core)
    assert acme.shown(late)["has_credentials"] is False
    assert acme.fetch(late).status_code == 409


def test_an_upload_is_its_tenants_alone(acme: Uploader, globex: Uploader, prefix: str):
    upload = acme.upload(sheet([(f"{prefix}-1", "One")]))
    acme.work(upload)
    assert globex.ask("GET", f"device-imports/{upload}").status_code == 404
    assert globex.fetch(upload).status_code == 404
    assert len(credentials(acme.fetch(upload))) == 1


def test_a_file_that_is_too_large_is_not_read(acme: Uploader):
    answer = acme.send(b"x" * (8 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/file-too-large")
