"""Tenants live where the registry says: in two databases of one server, or of two servers and two engines."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select, text

from insula_ingest.settings import IngestSettings
from insula_platform.app import create_app
from insula_platform.oauth.clients import create_service_client
from insula_platform.settings import PlatformSettings
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.devices import create_device
from insula_tenants.errors import InvalidInput, TenantUnavailable
from insula_tenants.migrate import head, migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.storage import detect_engine
from insula_tenants.telemetry.models import Reading
from tests.ingest.conftest import RunningIngest
from tests.platform.conftest import Live
from tests.servers.mosquitto import MosquittoServer
from tests.servers.platform import listen, serving
from tests.servers.postgres import EmbeddedPostgres, PostgresServer
from tests.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Placed:
    """Two databases with a tenant in each: `near` beside the registry, `far` in the other one."""

    admin_urls: dict[str, str]
    service_urls: dict[str, str]
    admins: Administration
    databases: Databases
    near: TenantContext
    far: TenantContext
    second_server: EmbeddedPostgres

    def count(self, context: TenantContext) -> int:
        """How many readings the tenant has."""
        with self.databases.tenant(context) as session:
            return session.scalar(select(func.count()).select_from(Reading)) or 0

    def settings(self) -> dict[str, object]:
        """What a service is configured with."""
        others = {name: url for name, url in self.service_urls.items() if name != "main"}
        return {"database_url": self.service_urls["main"], "database_urls": others}


@pytest.fixture(scope="module")
def second_server() -> Iterator[EmbeddedPostgres]:
    """A server of these tests alone, which they may take away."""
    server = EmbeddedPostgres()
    yield server
    server.stop()


@contextmanager
def placed_on(main: PostgresServer, second: PostgresServer, own: EmbeddedPostgres) -> Iterator[Placed]:
    """The registry on `main`, a further database on `second`."""
    pairs = {"main": main.create_database(), "second": second.create_database()}
    admin_urls = {name: pair[0] for name, pair in pairs.items()}
    service_urls = {name: pair[1] for name, pair in pairs.items()}
    assert migrate(admin_urls, service_urls).failed == {}
    admins, databases = Administration(admin_urls), Databases(service_urls)
    near, far = (f"{name}-{secrets.token_hex(3)}" for name in ("near", "far"))
    create_tenant(admins, near, "Near")
    create_tenant(admins, far, "Far", database="second")
    with databases.core() as core:
        contexts = [resolve_tenant(core, slug) for slug in (near, far)]
    for context in contexts:
        with databases.tenant(context) as session:
            create_device(session, "desk-1", name=f"Desk of {context.slug}")
    yield Placed(admin_urls, service_urls, admins, databases, *contexts, second_server=own)
    databases.close()
    admins.close()
    main.drop_database(admin_urls["main"])
    second.drop_database(admin_urls["second"])


@pytest.fixture(scope="module", params=["one server", "two servers"])
def placed(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, second_server: EmbeddedPostgres
) -> Iterator[Placed]:
    """Both ways to have a second database. With TimescaleDB as the first server, two are two engines."""
    second = postgres_server if request.param == "one server" else second_server
    with placed_on(postgres_server, second, second_server) as made:
        yield made


@pytest.fixture
def apart(postgres_server: PostgresServer, second_server: EmbeddedPostgres) -> Iterator[Placed]:
    """The second database on a server that can be taken away."""
    with placed_on(postgres_server, second_server, second_server) as made:
        yield made


def has_schema(admin_url: str, schema: str) -> bool:
    with psycopg.connect(admin_url) as connection:
        row = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", (schema,)).fetchone()
    return row is not None and bool(row[0])


def test_a_tenant_is_made_and_served_in_its_database_alone(placed: Placed):
    for context, home, other in ((placed.near, "main", "second"), (placed.far, "second", "main")):
        assert context.database == home
        assert has_schema(placed.admin_urls[home], context.schema)
        assert not has_schema(placed.admin_urls[other], context.schema)
        with placed.databases.tenant(context) as session:
            assert session.scalar(text("SELECT name FROM devices")) == f"Desk of {context.slug}"
            assert session.scalar(text("SELECT current_user")) == context.schema
            engine = detect_engine(session.connection()).name
            assert session.scalar(
                text("SELECT insula_functions.time_bucket('1 day', now(), 'UTC') <= now()")
            ), engine


def test_asynchronous_sessions_open_the_tenants_database_too(placed: Placed):
    async def names() -> list[str]:
        pools = AsyncDatabases(placed.service_urls, pool_size=1)
        await pools.open()
        found = []
        for context in (placed.near, placed.far):
            async with pools.tenant(context) as connection:
                row = await (await connection.execute("SELECT name FROM devices")).fetchone()
                assert row is not None
                found.append(row["name"])
        await pools.close()
        return found

    assert asyncio.run(names()) == [f"Desk of {each.slug}" for each in (placed.near, placed.far)]


def test_a_database_that_is_not_there_is_refused_before_anything_is_made(placed: Placed):
    with pytest.raises(InvalidInput, match="use main, second") as caught:
        create_tenant(placed.admins, "nowhere", "Nowhere", database="third")
    assert caught.value.field == "database"


def test_migrating_brings_the_tenants_of_every_database_up(apart: Placed):
    with psycopg.connect(apart.admin_urls["second"]) as connection:
        schema = apart.far.schema
        connection.execute(f"DROP SCHEMA {schema} CASCADE")  # type: ignore[arg-type]
        connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION insula_owner")  # type: ignore[arg-type]
    report = migrate(apart.admin_urls, apart.service_urls)
    assert report.upgraded == [apart.far.slug]
    assert report.migrated == sorted([apart.near.slug, apart.far.slug])


def test_a_database_that_is_away_fails_its_own_tenants_in_a_migration(apart: Placed):
    with apart.second_server.away():
        report = migrate(apart.admin_urls, apart.service_urls)
    assert report.migrated == [apart.near.slug]
    assert "'second' could not be prepared" in report.failed[apart.far.slug]
    assert migrate(apart.admin_urls, apart.service_urls).failed == {}


def test_a_tenant_whose_database_is_not_configured_is_unavailable_and_the_others_are_served(placed: Placed):
    only_main = {"main": placed.service_urls["main"]}
    databases = Databases(only_main)
    with databases.tenant(placed.near) as session:
        assert session.scalar(text("SELECT count(*) FROM devices")) == 1
    wanted = f"tenant '{placed.far.slug}' lives in the database 'second', which is not configured"
    with pytest.raises(TenantUnavailable, match=wanted), databases.tenant(placed.far):
        pass
    databases.close()

    async def ask() -> None:
        async with AsyncDatabases(only_main).tenant(placed.far):
            pass

    with pytest.raises(TenantUnavailable, match=wanted):
        asyncio.run(ask())
    report = migrate({"main": placed.admin_urls["main"]}, only_main)
    assert report.migrated == [placed.near.slug]
    assert "'second', which is not configured" in report.failed[placed.far.slug]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    server = MosquittoServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture
def publish(broker: MosquittoServer) -> Iterator[Callable[[TenantContext, int], None]]:
    """Publish one reading, of that second, and wait for the broker to have it."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def send(context: TenantContext, second: int) -> None:
        at = (int(NOW.timestamp()) - second) * 1000
        payload = json.dumps({"ts": at, "values": {"temperature": second}})
        client.publish(f"tenants/{context.slug}/devices/desk-1/telemetry", payload, qos=1).wait_for_publish(
            10
        )

    yield send
    client.disconnect()
    client.loop_stop()


def ingest_settings(broker: MosquittoServer, placed: Placed, **more: object) -> IngestSettings:
    values = placed.settings() | {"mqtt_port": broker.port, "ingest_batch_seconds": 0.05} | more
    return IngestSettings(**values)  # type: ignore[arg-type]


@contextmanager
def ingesting(settings: IngestSettings) -> Iterator[RunningIngest]:
    running = RunningIngest(settings).start()
    try:
        yield running
    finally:
        running.stop()


def test_one_batch_is_written_into_both_databases(
    placed: Placed, broker: MosquittoServer, publish: Callable[[TenantContext, int], None]
):
    settings = ingest_settings(broker, placed, ingest_batch_seconds=0.5)
    with ingesting(settings):
        for second in range(20):
            publish(placed.near, second)
            publish(placed.far, second)
        eventually(lambda: (placed.count(placed.near), placed.count(placed.far)) == (20, 20))


def test_a_database_that_is_away_holds_back_its_own_tenants_and_nobody_else(
    apart: Placed,
    broker: MosquittoServer,
    publish: Callable[[TenantContext, int], None],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO", "insula_ingest.outages")
    with ingesting(ingest_settings(broker, apart)):
        publish(apart.far, 0)
        publish(apart.near, 0)
        eventually(lambda: (apart.count(apart.near), apart.count(apart.far)) == (1, 1))
        with apart.second_server.away():
            for second in range(1, 30):
                publish(apart.far, second)
                publish(apart.near, second)
                eventually(lambda second=second: apart.count(apart.near) == second + 1)
        eventually(lambda: apart.count(apart.far) == 30, seconds=20)
    told = [record.message for record in caplog.records if record.name == "insula_ingest.outages"]
    assert [line.split(",")[0] for line in told] == [
        "the database is away: second",
        "the database is back: second",
    ]


def test_what_was_held_when_ingest_stopped_is_still_with_the_broker(
    apart: Placed, broker: MosquittoServer, publish: Callable[[TenantContext, int], None]
):
    with apart.second_server.away(), ingesting(ingest_settings(broker, apart)):
        for second in range(10):
            publish(apart.far, second)
        publish(apart.near, 0)
        eventually(lambda: apart.count(apart.near) == 1)
    assert apart.count(apart.far) == 0
    with ingesting(ingest_settings(broker, apart)):
        eventually(lambda: apart.count(apart.far) == 10)


def test_a_full_window_waits_for_the_database_and_then_everything_flows(
    apart: Placed,
    broker: MosquittoServer,
    publish: Callable[[TenantContext, int], None],
    caplog: pytest.LogCaptureFixture,
):
    settings = ingest_settings(broker, apart, ingest_receive_maximum=20, ingest_batch_messages=7)
    with ingesting(settings) as running:
        with apart.second_server.away():
            for second in range(50):
                publish(apart.far, second)
            publish(apart.near, 0)
            eventually(lambda: "fill the window" in caplog.text)
            assert running.service._source.in_flight == 20
        eventually(lambda: (apart.count(apart.near), apart.count(apart.far)) == (1, 50), seconds=20)
    assert caplog.text.count("fill the window") == 1


def test_a_tenant_of_another_release_is_held_until_it_is_migrated_and_then_written(
    apart: Placed, broker: MosquittoServer, publish: Callable[[TenantContext, int], None]
):
    def set_version(version: str) -> None:
        with apart.databases.core() as core:
            core.execute(
                text("UPDATE tenants SET schema_version = :version WHERE slug = :slug"),
                {"version": version, "slug": apart.far.slug},
            )

    set_version("9999")
    with ingesting(ingest_settings(broker, apart)):
        publish(apart.far, 0)
        publish(apart.near, 0)
        eventually(lambda: apart.count(apart.near) == 1)
        assert apart.count(apart.far) == 0
        set_version(head("tenant"))
        eventually(lambda: apart.count(apart.far) == 1)


def test_a_tenant_whose_schema_is_gone_is_held_alone(
    apart: Placed, broker: MosquittoServer, publish: Callable[[TenantContext, int], None]
):
    with psycopg.connect(apart.admin_urls["second"]) as connection:
        connection.execute(f"DROP SCHEMA {apart.far.schema} CASCADE")  # type: ignore[arg-type]
    with ingesting(ingest_settings(broker, apart)):
        publish(apart.far, 0)
        for second in range(3):
            publish(apart.near, second)
        eventually(lambda: apart.count(apart.near) == 3)


@contextmanager
def api(placed: Placed, **changes: object) -> Iterator[tuple[Live, dict[str, str]]]:
    """A platform on these databases, and a token for each tenant."""
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            **(placed.settings() | changes | {"public_url": url, "secret_key": secrets.token_hex(32)})  # type: ignore[arg-type]
        )
        app = create_app(settings)
        with placed.databases.core() as core:
            core.execute(text("DELETE FROM signing_keys"))
            clients = {
                each.slug: create_service_client(core, each, "reader", "readings:read devices:read")
                for each in (placed.near, placed.far)
            }
        with serving(app, listener):
            live = Live(url, settings, app.state.platform, None, ("", ""))  # type: ignore[arg-type]
            tokens = {
                slug: live.token_request(client, grant_type="client_credentials").json()["access_token"]
                for slug, client in clients.items()
            }
            yield live, tokens


def status(live: Live, tokens: dict[str, str], context: TenantContext, leaf: str = "devices") -> int:
    return live.get(f"/api/v1/tenants/{context.slug}/{leaf}", tokens[context.slug]).status_code


def test_the_api_reads_from_both_databases(placed: Placed):
    with api(placed) as (live, tokens):
        for context in (placed.near, placed.far):
            answer = live.get(f"/api/v1/tenants/{context.slug}/devices", tokens[context.slug])
            assert [item["name"] for item in answer.json()["items"]] == [f"Desk of {context.slug}"]
            assert status(live, tokens, context, "latest") == 200


def test_the_api_serves_the_others_while_a_database_is_away(apart: Placed):
    with api(apart) as (live, tokens):
        with apart.second_server.away():
            assert status(live, tokens, apart.near) == 200
            answer = live.get(f"/api/v1/tenants/{apart.far.slug}/latest", tokens[apart.far.slug])
            assert answer.status_code == 503
            assert answer.json()["type"] == "/problems/database-away"
            assert status(live, tokens, apart.near) == 200
        eventually(lambda: status(live, tokens, apart.far) == 200, what="the tenant after the outage")


def test_the_api_serves_the_others_where_a_database_is_not_configured(placed: Placed):
    with api(placed, database_urls={}) as (live, tokens):
        assert status(live, tokens, placed.near) == 200
        answer = live.get(f"/api/v1/tenants/{placed.far.slug}/latest", tokens[placed.far.slug])
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/tenant-unavailable"
        assert "'second', which is not configured" in answer.json()["detail"]


def test_the_api_serves_the_others_while_a_tenant_is_of_another_release(apart: Placed):
    with apart.databases.core() as core:
        core.execute(
            text("UPDATE tenants SET schema_version = '9999' WHERE slug = :slug"), {"slug": apart.far.slug}
        )
    with api(apart) as (live, tokens):
        assert status(live, tokens, apart.near) == 200
        answer = live.get(f"/api/v1/tenants/{apart.far.slug}/latest", tokens[apart.far.slug])
        assert answer.status_code == 503
        assert "insula migrate" in answer.json()["detail"]
