"""Every way in which an upload may end early, and what it may not do to others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from insula_platform.backfill import body as body_module
from insula_platform.backfill import service as service_module
from insula_platform.backfill.service import BATCH_ROWS
from insula_tenants.devices import NewPoint, create_device
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from tests.conftest import Deployment
from tests.platform.backfill.bodies import PATH, as_csv, rows_of, stored, token_of
from tests.platform.conftest import Live
from tests.servers.mqtt import unique
from tests.waiting import eventually


def paused(device: str, ready: threading.Event, go: threading.Event, rows: int) -> Iterator[bytes]:
    """A CSV that stops in the middle until it may go on."""
    content = as_csv(rows_of(device, rows))
    yield content[: len(content) - 200]
    ready.set()
    assert go.wait(30)
    yield content[len(content) - 200 :]


def test_an_outage_in_the_middle_says_how_many_are_stored_and_sending_again_stores_the_rest(
    deployment: Deployment, live: Live, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    """The connection is killed between two batches, and none can be made for a while."""
    rows = 3 * BATCH_ROWS
    content = as_csv(rows_of(device, rows))
    write = service_module.TelemetryWriter.write
    calls = 0

    def write_or_die(self: Any, batches: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            with deployment.databases.core() as core:
                core.execute(text("SELECT 1"))
            import psycopg

            with psycopg.connect(deployment.admin_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'insula-backfill' AND datname = current_database()"
                )
        write(self, batches)

    monkeypatch.setattr(service_module.TelemetryWriter, "write", write_or_die)
    answer = send(content)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "/problems/database-away")
    assert (problem["stored"], problem["last_row"]) == (2 * BATCH_ROWS, 2 * BATCH_ROWS + 1)
    assert f"{2 * BATCH_ROWS} rows are stored" in problem["detail"]
    assert len(stored(deployment, device)) == 2 * BATCH_ROWS
    assert send(content).json()["stored"] == rows
    assert len(stored(deployment, device)) == rows


def test_a_client_that_goes_away_in_the_middle_leaves_what_was_stored_and_nothing_behind(
    deployment: Deployment, live: Live, token: str, device: str
):
    content = as_csv(rows_of(device, 2 * BATCH_ROWS))
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: text/csv\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        client.sendall(head.encode() + content[: len(content) - 1000])
        eventually(lambda: len(stored(deployment, device)) == BATCH_ROWS, seconds=20)
        assert live.platform.uploads._of["acme"] == 1
    eventually(lambda: live.platform.uploads._of["acme"] == 0, what="the end of the upload")
    assert len(stored(deployment, device)) == BATCH_ROWS
    eventually(lambda: connections(deployment) == 0, what="the end of its connection")


def connections(deployment: Deployment) -> int:
    with deployment.databases.core() as core:
        return int(
            core.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'insula-backfill'"
                    " AND datname = current_database()"
                )
            )
            or 0
        )


def test_a_client_that_sends_nothing_any_more_is_told_so(
    deployment: Deployment, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(body_module, "PATIENCE", 0.5)
    go = threading.Event()

    def stalls() -> Iterator[bytes]:
        yield as_csv(rows_of(device, 5))
        go.wait(2)
        yield b"\n"

    answer = send(stalls())
    go.set()
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/timeout")
    assert (answer.json()["stored"], len(stored(deployment, device))) == (5, 5)


@pytest.mark.long
def test_a_client_that_sends_a_byte_now_and_then_does_not_keep_others_waiting(
    deployment: Deployment, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(body_module, "PATIENCE", 1.0)
    monkeypatch.setattr(body_module, "SLOWEST", 10_000_000)

    def trickles() -> Iterator[bytes]:
        yield as_csv(rows_of(device, 5))
        for _ in range(100):
            time.sleep(0.1)
            yield b"\n"

    answer = send(trickles())
    assert (answer.status_code, answer.json()["type"]) == (408, "/problems/timeout")
    assert (answer.json()["stored"], len(stored(deployment, device))) == (5, 5)


def test_so_many_uploads_at_a_time_and_the_neighbours_have_their_own(
    deployment: Deployment, live: Live, send, device: str
):
    ready, go = [threading.Event() for _ in range(2)], threading.Event()
    answers: list[int] = []

    def upload(number: int) -> None:
        answers.append(send(paused(device, ready[number], go, 100)).status_code)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for event in ready:
            assert event.wait(10)
        eventually(lambda: live.platform.uploads._of["acme"] == 2)
        refused = send(as_csv(rows_of(device)))
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-uploads")
        assert refused.headers["retry-after"]
        with live.platform.uploads.one_more("globex"):
            pass
    finally:
        go.set()
        for thread in threads:
            thread.join(20)
    assert answers == [200, 200]
    assert send(as_csv(rows_of(device))).status_code == 200


def test_a_tenant_that_is_suspended_in_the_middle_takes_no_more(
    deployment: Deployment, live: Live, send, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_module, "LOOK_EVERY", 0.0)
    go, answers = threading.Event(), []
    rows = rows_of(device, BATCH_ROWS + 10)
    content = as_csv(rows)
    first = len(as_csv(rows[:-5]))

    def halves() -> Iterator[bytes]:
        yield content[:first]
        assert go.wait(30)
        yield content[first:]

    thread = threading.Thread(target=lambda: answers.append(send(halves())))
    thread.start()
    try:
        eventually(lambda: len(stored(deployment, device)) == BATCH_ROWS, seconds=20)
        with deployment.databases.core() as core:
            suspend_tenant(core, "acme", "unpaid")
        go.set()
        thread.join(20)
    finally:
        go.set()
        with deployment.databases.core() as core:
            resume_tenant(core, "acme")
    (answer,) = answers
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-suspended")
    assert answer.json()["stored"] == BATCH_ROWS == len(stored(deployment, device))


def test_it_takes_its_scope_in_ones_own_tenant(live: Live, send, device: str):
    body = as_csv(rows_of(device))
    assert send(body, token=token_of(live, "readings:write")).status_code == 200
    assert send(body, token=token_of(live, "readings:read")).status_code == 403
    assert send(body, token=token_of(live, "readings:write", live.deployment.globex)).status_code == 404


def test_a_neighbours_device_is_none(deployment: Deployment, send):
    with deployment.databases.tenant(deployment.globex) as session:
        create_device(session, slug := unique("theirs"), name="Theirs", points=[NewPoint("power")])
    answer = send(as_csv(rows_of(slug))).json()
    assert (answer["stored"], answer["problems"][0]["reason"]) == (0, "unknown_device")
