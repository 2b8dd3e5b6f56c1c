"""Live values: server-sent events, from a real Mosquitto to clients of the tenant and of no other."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from sqlalchemy import select

from insula_platform.access import lasting
from insula_platform.app import create_app
from insula_platform.live import listener as listener_module
from insula_platform.live.hub import LiveHub, TooManyStreams
from insula_platform.live.listener import Listener, Wanted
from insula_platform.oauth.clients import create_service_client, delete_service_client, service_clients
from insula_platform.oauth.models import Client
from insula_platform.oauth.tokens import write_access_token
from insula_platform.readings.schemas import LatestValue
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import INGEST, PLATFORM
from insula_tenants.broker.topics import BEGINS, encode_values, values_topic
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases
from insula_tenants.devices import NewPoint, create_device, list_points
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from insula_tenants.spaces import Places, Space, ensure_space
from insula_tenants.telemetry.write import TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import UI_SECRET, Live, access_of
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient, unique
from tests.servers.platform import listen, serving
from tests.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)
MICROSECONDS = round(NOW.timestamp() * 1e6)
MOST_STREAMS = 8


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredMosquitto]:
    server = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    yield server
    server.stop()


@contextmanager
def platform(deployment: Deployment, **more: Any) -> Iterator[Live]:
    """A platform, and a program of acme's that may read."""
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url,
            secret_key="a secret key that is long enough for tests",
            database_url=deployment.service_url,
            ui_client_secret=UI_SECRET,
            live_streams_per_tenant=MOST_STREAMS,
            **more,
        )
        structlog.reset_defaults()  # another test may have shaped the logs of this process
        app = create_app(settings)
        with deployment.databases.core() as core:
            service = create_service_client(core, deployment.acme, "listener", "readings:read")
            create_service_client(core, deployment.globex, "listener", "readings:read")
        with serving(app, listener):
            yield Live(url, settings, app.state.platform, deployment, service)


@pytest.fixture(scope="module")
def live(deployment: Deployment, mosquitto: SecuredMosquitto) -> Iterator[Live]:
    secret = mosquitto.passwords[PLATFORM]
    with (
        pytest.MonkeyPatch.context() as patch,
        platform(deployment, mqtt_port=mosquitto.port, live_mqtt_password=secret) as running,
    ):
        patch.setattr(lasting, "LOOK_EVERY", 0.2)
        eventually(lambda: running.platform.link.connected, what="the platform's connection to the broker")
        yield running


@pytest.fixture(scope="module")
def points(deployment: Deployment) -> dict[str, list[int]]:
    """Two devices of acme, one of them in a space, and one of globex; each has a reading."""
    return {context.slug: _furnish(deployment, context) for context in (deployment.acme, deployment.globex)}


def _furnish(deployment: Deployment, context: TenantContext) -> list[int]:
    with deployment.databases.tenant(context) as session:
        if context.slug == "globex":  # its ids are none of acme's
            create_device(session, "many", name="Many", points=[NewPoint(f"p{n}") for n in range(20)])
        space = ensure_space(
            session,
            site="Site",
            building="Forum",
            time_zone="Europe/Brussels",
            storey="Ground floor",
            level=0,
            name="Room",
        )
        create_device(session, "lamp", name="Lamp", space_id=space, points=[NewPoint("power")])
        create_device(session, "fan", name="Fan", points=[NewPoint("power")])
        found = [point.id for device in ("lamp", "fan") for point in list_points(session, device=device)]
    store(deployment, context, {point: float(point) for point in found}, seconds=-60)
    return found


def store(
    deployment: Deployment, context: TenantContext, values: dict[int, float], *, seconds: int = 0
) -> None:
    at = MICROSECONDS + seconds * 1_000_000
    batch = TenantBatch(context, {(point, at): value for point, value in values.items()})
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])


def token_of(live: Live, tenant: str = "acme", *, lifetime: int = 600, program: str | None = None) -> str:
    """Of this service client of the tenant; else of the one that is there from the start."""
    settings = live.settings.model_copy(update={"access_token_lifetime": lifetime})
    with live.deployment.databases.core() as core:
        first = service_clients(core, getattr(live.deployment, tenant))[0].client_id
    program = program or first
    return write_access_token(
        settings,
        live.platform.signing_keys.signing_key(),
        subject=program,
        client_id=program,
        tenant=tenant,
        scope="readings:read",
    )


class Stream:
    """One open stream, whose events are read one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, Any]:
        """The next event and its data; comments are passed over."""
        event, data = "", None
        for line in self._lines:
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
            elif not line and event:
                return event, data
        return "closed", None

    def skip_to(self, wanted: str) -> Any:
        """The data of the next event of this kind."""
        for _ in range(50):
            event, data = self.next()
            if event == wanted:
                return data
            assert event != "closed", f"the stream ended before {wanted}"
        raise AssertionError(f"no {wanted} among 50 events")


@contextmanager
def opened(
    live: Live, query: str = "", *, tenant: str = "acme", token: str | None = None
) -> Iterator[Stream]:
    headers = {"Authorization": f"Bearer {token or token_of(live, tenant)}"}
    with (
        live.client() as client,
        client.stream(
            "GET", f"/api/v1/tenants/{tenant}/live{query}", headers=headers, timeout=20
        ) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


@pytest.fixture
def ingest(mosquitto: SecuredMosquitto) -> Iterator[MqttClient]:
    """Stands where ingest does: it hears what is wanted, and publishes what it committed."""
    with MqttClient(
        mosquitto.port, INGEST, mosquitto.passwords[INGEST], client_id=unique("ingest")
    ) as client:
        assert client.subscribe("insula/live/wanted/+")
        yield client


def commit(ingest: MqttClient, context: TenantContext, values: list[tuple[int, int, float]]) -> None:
    for payload in encode_values(context.id, values):
        ingest.send(values_topic(context.slug), payload.decode())


def wanted(ingest: MqttClient, tenant: str = "acme") -> None:
    eventually(
        lambda: f"insula/live/wanted/{tenant}" in [one.topic for one in ingest.received], what="the wish"
    )


def shown(items: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    return [(item["point"], item["device"], item["value"]) for item in items]


def test_a_stream_begins_with_the_newest_values_and_goes_on_with_what_is_committed(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    lamp, fan = points["acme"]
    with opened(live) as stream:
        event, data = stream.next()
        assert (event, data["last"]) == ("snapshot", True)
        assert shown(data["items"]) == [(lamp, "lamp", float(lamp)), (fan, "fan", float(fan))]
        wanted(ingest)
        commit(ingest, deployment.acme, [(fan, MICROSECONDS, 21.5), (lamp, MICROSECONDS + 1, 7.25)])
        event, data = stream.next()
        assert (event, shown(data["items"])) == ("values", [(fan, "fan", 21.5), (lamp, "lamp", 7.25)])
        assert datetime.fromisoformat(data["items"][1]["time"]) == NOW.replace(microsecond=1)
        assert data["items"][0]["name"] == "power"


@pytest.mark.parametrize(
    ("query", "wants"),
    [("?space={space}", 0), ("?device=fan", 1), ("?point={fan}", 1), ("?device=lamp&point={fan}", None)],
)
def test_only_what_is_asked_for_comes(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient, query: str, wants
):
    lamp, fan = points["acme"]
    with deployment.databases.tenant(deployment.acme) as session:
        space = ensure_space(
            session,
            site="Site",
            building="Forum",
            time_zone="Europe/Brussels",
            storey="Ground floor",
            level=0,
            name="Room",
        )
    with opened(live, query.format(space=space, fan=fan)) as stream:
        expected = [] if wants is None else [points["acme"][wants]]
        assert [item["point"] for item in stream.next()[1]["items"]] == expected
        wanted(ingest)
        commit(ingest, deployment.acme, [(lamp, MICROSECONDS, 1.0), (fan, MICROSECONDS, 1.0)])
        ingest.publish(values_topic("acme"), BEGINS.decode())
        event, data = stream.next()
        if wants is None:
            assert event == "snapshot"
        else:
            assert (event, [item["point"] for item in data["items"]]) == ("values", expected)


def test_a_point_that_is_made_while_one_listens_is_shown(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    with opened(live) as stream:
        stream.skip_to("snapshot")
        wanted(ingest)
        with deployment.databases.tenant(deployment.acme) as session:
            create_device(session, slug := unique("new"), name="New", points=[NewPoint("level")])
            (point,) = list_points(session, device=slug)
        commit(ingest, deployment.acme, [(point.id, MICROSECONDS, 3.0)])
        assert shown(stream.skip_to("values")["items"]) == [(point.id, slug, 3.0)]


def test_what_was_committed_before_ingest_publishes_comes_by_a_fresh_snapshot(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    fan = points["acme"][1]
    with opened(live, f"?point={fan}") as stream:
        stream.skip_to("snapshot")
        store(deployment, deployment.acme, {fan: 99.5}, seconds=5)
        ingest.publish(values_topic("acme"), BEGINS.decode())
        assert shown(stream.skip_to("snapshot")["items"]) == [(fan, "fan", 99.5)]


def test_messages_that_are_no_values_disturb_nobody(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    fan = points["acme"][1]
    nonsense = ["x", "[]", "{}", '{"tenant": 1}', '{"tenant": "x", "values": [[1]]}', "[" * 9000]
    with opened(live, f"?point={fan}") as stream:
        stream.skip_to("snapshot")
        wanted(ingest)
        for payload in nonsense:
            ingest.send(values_topic("acme"), payload)
        commit(ingest, deployment.acme, [(fan, MICROSECONDS, 4.5)])
        assert shown(stream.skip_to("values")["items"]) == [(fan, "fan", 4.5)]


def test_streams_of_many_at_a_time_never_mix_tenants(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    """Point ids are small numbers in each tenant: a value that went astray would find a name."""
    contexts = {"acme": deployment.acme, "globex": deployment.globex}
    expected = {"acme": 0.25, "globex": 0.75}  # the fractions tell whose a value is
    last = 1000
    heard: dict[tuple[str, int], set[float]] = {}
    ready = threading.Barrier(9)

    def listens(tenant: str, number: int) -> None:
        with opened(live, tenant=tenant) as stream:
            stream.skip_to("snapshot")
            ready.wait(20)
            values = heard[tenant, number] = set()
            while max(values, default=0.0) < last:
                values.update(item["value"] for item in stream.skip_to("values")["items"])

    threads = [
        threading.Thread(target=listens, args=(tenant, number)) for tenant in contexts for number in range(4)
    ]
    for thread in threads:
        thread.start()
    ready.wait(20)
    wanted(ingest, "acme")
    wanted(ingest, "globex")
    ids = points["acme"] + points["globex"]

    def sends(step: int) -> None:
        for tenant, context in contexts.items():
            values = [(point, MICROSECONDS + step, step + expected[tenant]) for point in points[tenant]]
            commit(ingest, context, values)
            # Ids of the neighbour's, and its own tenant's id in the message: nobody's.
            astray = next(other for slug, other in contexts.items() if slug != tenant)
            payload = next(encode_values(astray.id, [(point, MICROSECONDS, step + 0.5) for point in ids]))
            ingest.send(values_topic(tenant), payload.decode())

    for step in range(200):
        sends(step)

    def all_have_heard() -> bool:
        sends(last)  # again and again: a message at QoS 0 may be lost
        return not any(thread.is_alive() for thread in threads)

    eventually(all_have_heard, seconds=40, what="the last value at every listener")
    assert len(heard) == 8
    for (tenant, _), values in heard.items():
        assert {value % 1 for value in values} == {expected[tenant]}


def test_a_neighbours_stream_looks_like_none(live: Live):
    for tenant in ("globex", "nowhere"):
        answer = live.get(f"/api/v1/tenants/{tenant}/live", token_of(live))
        assert answer.status_code == 404
    assert live.get("/api/v1/tenants/acme/live").status_code == 401


def test_a_stream_ends_with_its_token(live: Live, points: dict[str, list[int]]):
    with opened(live, token=token_of(live, lifetime=2)) as stream:
        end = stream.skip_to("end")
        assert end["reason"] == "token_expired"
        assert stream.next() == ("closed", None)


def test_a_stream_ends_when_the_tenant_is_suspended_and_the_neighbours_goes_on(
    live: Live,
    deployment: Deployment,
    points: dict[str, list[int]],
    ingest: MqttClient,
    monkeypatch: pytest.MonkeyPatch,
):
    with opened(live) as stream, opened(live, tenant="globex") as other:
        stream.skip_to("snapshot")
        other.skip_to("snapshot")
        with deployment.databases.core() as core:
            suspend_tenant(core, "acme", "unpaid")
        try:
            end = stream.skip_to("end")  # within `LOOK_EVERY` seconds
            assert (end["reason"], "unpaid" in end["detail"]) == ("tenant_closed", True)
            assert live.get("/api/v1/tenants/acme/live", token_of(live)).status_code == 403
        finally:
            with deployment.databases.core() as core:
                resume_tenant(core, "acme")
        fan = points["globex"][1]
        commit(ingest, deployment.globex, [(fan, MICROSECONDS, 8.5)])
        assert shown(other.skip_to("values")["items"]) == [(fan, "fan", 8.5)]


def test_a_stream_ends_with_what_allowed_it_and_anothers_goes_on(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    with deployment.databases.core() as core:
        program, _ = create_service_client(core, deployment.acme, "short-lived", "readings:read")
    with opened(live, token=token_of(live, program=program)) as stream, opened(live) as other:
        stream.skip_to("snapshot")
        other.skip_to("snapshot")
        with deployment.databases.core() as core:
            delete_service_client(core, deployment.acme, program)
        end = stream.skip_to("end")
        assert (end["reason"], "not registered" in end["detail"]) == ("access_ended", True)
        assert stream.next() == ("closed", None)
        fan = points["acme"][1]
        commit(ingest, deployment.acme, [(fan, MICROSECONDS, 9.5)])
        assert shown(other.skip_to("values")["items"]) == [(fan, "fan", 9.5)]


def test_a_stream_for_a_building_brings_that_buildings_values_alone(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    """The lamp is in a room of it; of the fan nobody said where it is, until somebody moves it there."""
    lamp, fan = points["acme"]
    with deployment.databases.tenant(deployment.acme) as session:
        room = session.scalars(select(Space.id)).one()
    with deployment.databases.core() as core:
        program, _ = create_service_client(core, deployment.acme, "placed", "readings:read")
        core.get_one(Client, program).places = Places(spaces=frozenset({room})).told
    with opened(live, token=token_of(live, program=program)) as stream:
        assert {item["device"] for item in stream.skip_to("snapshot")["items"]} == {"lamp"}
        commit(ingest, deployment.acme, [(fan, MICROSECONDS, 3.5), (lamp, MICROSECONDS, 4.5)])
        assert shown(stream.skip_to("values")["items"]) == [(lamp, "lamp", 4.5)]
        with deployment.databases.core() as core:
            core.get_one(Client, program).places = Places(sites=frozenset({1})).told
        assert stream.skip_to("end")["reason"] == "access_ended"


def test_a_tenant_has_so_many_streams_and_its_neighbour_as_many(live: Live, points: dict[str, list[int]]):
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(live)) for _ in range(MOST_STREAMS)]
        for stream in streams:
            stream.skip_to("snapshot")
        refused = live.get("/api/v1/tenants/acme/live", token_of(live))
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-streams")
        assert refused.headers["retry-after"]
        stack.enter_context(opened(live, tenant="globex")).skip_to("snapshot")

    def opens_again() -> bool:
        with live.client() as client:
            request = client.build_request(
                "GET", "/api/v1/tenants/acme/live", headers={"Authorization": f"Bearer {token_of(live)}"}
            )
            answer = client.send(request, stream=True)
            answer.close()
            return answer.status_code == 200

    eventually(opens_again, what="room for a stream after the others are closed")


def test_streams_that_nobody_reads_do_not_add_up_when_their_tokens_expire(deployment: Deployment):
    async def scenario() -> None:
        databases = AsyncDatabases({"main": deployment.service_url})
        hub = LiveHub(databases, None, most=2)
        with ExitStack() as stack:
            expired = access_of(deployment.acme, expires_at=time.time() - 1)
            for access in (expired, expired, access_of(deployment.acme), expired):
                stack.enter_context(hub.join(access, Wanted()))
            with pytest.raises(TooManyStreams):
                stack.enter_context(hub.join(access_of(deployment.acme), Wanted()))
            stack.enter_context(hub.join(access_of(deployment.globex), Wanted()))
        await hub.close()

    asyncio.run(scenario())


def test_rooms_are_empty_when_everybody_has_left(live: Live, points: dict[str, list[int]]):
    with opened(live) as stream:
        stream.skip_to("snapshot")
        assert "acme" in live.platform.live._rooms
    eventually(lambda: not live.platform.live._rooms, what="the end of the rooms")


def test_a_client_that_does_not_read_is_told_of_the_gap_and_gets_a_fresh_snapshot(
    live: Live,
    deployment: Deployment,
    points: dict[str, list[int]],
    ingest: MqttClient,
    monkeypatch: pytest.MonkeyPatch,
):
    """Far more than sockets and the client's share hold; another client of the tenant misses nothing."""
    monkeypatch.setattr(listener_module, "MOST_WAITING", 2000)
    fan, messages = points["acme"][1], 150
    with opened(live, f"?point={fan}") as slow, opened(live, f"?point={fan}") as quick:
        slow.skip_to("snapshot")
        quick.skip_to("snapshot")
        wanted(ingest)
        heard = 0
        for number in range(messages):
            commit(
                ingest, deployment.acme, [(fan, MICROSECONDS + number * 1000 + n, 1.5) for n in range(1000)]
            )
            while heard < (number + 1) * 1000:
                heard += len(quick.skip_to("values")["items"])
        assert heard == messages * 1000
        got, gaps = 0, 0
        while not gaps:
            event, data = slow.next()
            got += len(data["items"]) if event == "values" else 0
            gaps += event == "gap"
        assert slow.next()[0] == "snapshot"
        assert 0 < got < messages * 1000


def test_what_waits_for_a_client_is_bounded(deployment: Deployment):
    value = LatestValue(point=1, device="fan", name="power", time=NOW, value=1.0)
    waiting = Listener(access_of(deployment.acme), Wanted(), available=True)
    for _ in range(listener_module.MOST_WAITING):
        waiting.give([value])
    assert not waiting.lost
    waiting.give([value])
    assert waiting.lost
    assert list(waiting.take()) == []
    waiting.give([value])
    assert list(waiting.take()) == [], "what comes before the snapshot is of no use without what was lost"
    waiting.begin()
    waiting.give([value])
    assert list(waiting.take()) == [value]


# Without a broker


def test_without_a_broker_there_is_a_snapshot_and_a_word(
    deployment: Deployment, points: dict[str, list[int]]
):
    with platform(deployment) as live, opened(live, f"?point={points['acme'][0]}") as stream:
        assert stream.next()[0] == "snapshot"
        event, data = stream.next()
        assert (event, "no broker is configured" in data["detail"]) == ("unavailable", True)
        assert stream.next() == ("closed", None)


def test_a_broker_that_goes_away_is_told_and_values_flow_when_it_is_back(
    deployment: Deployment,
    points: dict[str, list[int]],
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
):
    broker = SecuredMosquitto(tmp_path_factory.mktemp("leaving")).start()
    fan = points["acme"][1]
    secret = broker.passwords[PLATFORM]
    try:
        with (
            platform(deployment, mqtt_port=broker.port, live_mqtt_password=secret) as live,
            opened(live, f"?point={fan}") as stream,
        ):
            stream.skip_to("snapshot")
            eventually(lambda: live.platform.link.connected)
            broker.stop()
            stream.skip_to("unavailable")
            store(deployment, deployment.acme, {fan: 55.5}, seconds=20)
            broker.start()
            assert shown(stream.skip_to("snapshot")["items"]) == [(fan, "fan", 55.5)]
            with MqttClient(broker.port, INGEST, broker.passwords[INGEST]) as ingest:
                commit(ingest, deployment.acme, [(fan, MICROSECONDS, 6.5)])
                assert shown(stream.skip_to("values")["items"]) == [(fan, "fan", 6.5)]
        lines = [line.message for line in caplog.records if line.name == "insula.link"]
        assert len([line for line in lines if "away" in line]) == 1, lines
    finally:
        broker.stop()


def test_a_server_that_stops_ends_its_streams(
    live: Live, points: dict[str, list[int]], deployment: Deployment, mosquitto: SecuredMosquitto
):
    with opened(live) as stream:
        stream.skip_to("snapshot")
        hub = live.platform.live
        room = hub._rooms["acme"]
        loop = room._task.get_loop()
        loop.call_soon_threadsafe(hub.end_all)
        assert stream.skip_to("end")["reason"] == "shutdown"
        hub._ended = False


def test_a_slow_first_event_does_not_hide_those_of_the_meantime(
    live: Live, deployment: Deployment, points: dict[str, list[int]], ingest: MqttClient
):
    """What is committed while the snapshot is read comes after it, or is in it."""
    fan = points["acme"][1]
    with opened(live, f"?point={fan}") as first:
        first.skip_to("snapshot")
        wanted(ingest)
        stop = threading.Event()
        step = 0

        def commits() -> None:
            nonlocal step
            while not stop.is_set():
                step += 1
                store(deployment, deployment.acme, {fan: float(step)}, seconds=1000 + step)
                commit(
                    ingest, deployment.acme, [(fan, MICROSECONDS + (1000 + step) * 1_000_000, float(step))]
                )
                time.sleep(0.005)

        thread = threading.Thread(target=commits)
        thread.start()
        try:
            for _ in range(5):
                with opened(live, f"?point={fan}") as stream:
                    last = stream.skip_to("snapshot")["items"][0]["value"]
                    for _ in range(5):
                        values = [item["value"] for item in stream.skip_to("values")["items"]]
                        assert values[0] <= last + 1, "a value between snapshot and stream is missing"
                        last = max(last, values[-1])
        finally:
            stop.set()
            thread.join(10)
