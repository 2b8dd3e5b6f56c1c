"""How fast ingest is, each figure beside its limit, measured in the same run on the same broker and database.

Starts a Mosquitto and a PostgreSQL of its own, or takes the server whose superuser's URL is in
INSULA_BENCH_DATABASE_URL. What is made is dropped at the end.

    python -m benchmarks.ingest            # two minutes
    python -m benchmarks.ingest --long     # ten times the messages

The broker is filled first: the messages wait in a persistent session, so that no sender is the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple, Self

import httpx
import numpy as np
import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from psycopg import sql
from rich.console import Console
from rich.table import Table

from benchmarks.broker import Packet, connected, mosquitto, publish_all, publish_packet, reserve
from benchmarks.deployment import Deployment, fresh, record, server
from insula_ingest.batch import Part
from insula_ingest.service import IngestService
from insula_ingest.settings import IngestSettings
from insula_platform.oauth.clients import create_service_client
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, create_device

DEVICES = 100
"""Devices of the one tenant; with 200 tenants each has `DEVICES / 20`."""
TENANTS = 200
VALUES = 10
ROWS = 5000
"""Rows of a batch of the staged COPY (docs/decisions/0016)."""
LOOP_BATCH = 500


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    measured: float
    limit_name: str
    limit: float
    target: str
    unit: str = "/s"
    lower_is_better: bool = False

    @property
    def ratio(self) -> float:
        return self.measured / self.limit


def device_names(count: int) -> list[str]:
    return [f"dev-{number:03}" for number in range(count)]


def equip(deployment: Deployment, contexts: Sequence[TenantContext], devices: int, points: int) -> None:
    """Register devices and their points: that ingest knows nobody is not what is measured."""
    made = [NewPoint(f"p{number}") for number in range(points)]
    with closing(Databases({"main": deployment.service_url}, pool_size=1)) as databases:
        for context in contexts:
            with databases.tenant(context) as session:
                for name in device_names(devices):
                    create_device(session, name, name=name, points=made)


def telemetry(
    slugs: Sequence[str], devices: int, points: int, count: int, *, milliseconds: int = 0
) -> list[Packet]:
    """`count` messages of the tenants' devices in turn, each with a time of its own in the last minutes."""
    start = milliseconds or round(time.time() * 1000) - count
    topics = [f"tenants/{slug}/devices/{name}/telemetry" for name in device_names(devices) for slug in slugs]
    names = [f"p{number}" for number in range(points)]
    made = []
    for number in range(count):
        values = ",".join(f'"{name}":{20 + (number + place) % 97 / 10}' for place, name in enumerate(names))
        payload = f'{{"ts":{start + number},"values":{{{values}}}}}'
        made.append((topics[number % len(topics)], payload.encode()))
    return made


def settings_for(deployment: Deployment, port: int, client_id: str) -> IngestSettings:
    return IngestSettings(
        database_url=deployment.service_url, mqtt_port=port, ingest_client_id=client_id, broker_access="none"
    )


# What ingest and what others do with a broker that is full.


def durable_ingest(deployment: Deployment, port: int, packets: Sequence[Packet]) -> tuple[float, float]:
    """Messages and values a second, from connecting to the last acknowledgement after its commit."""
    client_id = f"bench-{secrets.token_hex(4)}"
    reserve(port, client_id, "tenants/+/devices/+/telemetry")
    publish_all(port, packets)
    service = IngestService(settings_for(deployment, port, client_id))
    done = threading.Event()
    stored = [0, 0]

    def count(parts: Sequence[Part]) -> None:
        for part in parts:
            stored[0] += len(part.messages)
            stored[1] += part.values
        if stored[0] >= len(packets):
            done.set()

    service.after_commit(count)
    thread = threading.Thread(target=service.run)
    started = time.perf_counter()
    thread.start()
    assert done.wait(300), f"{stored[0]} of {len(packets)} messages are stored"
    took = time.perf_counter() - started
    service.stop()
    thread.join()
    forget(port, client_id)
    return stored[0] / took, stored[1] / took


def paho_loop(
    port: int,
    packets: Sequence[Packet],
    receive: Callable[[mqtt.MQTTMessage], None] | None = None,
) -> float:
    """Messages a second of a bare paho client that acknowledges by hand, `LOOP_BATCH` at a time."""
    client_id = f"bench-{secrets.token_hex(4)}"
    reserve(port, client_id, "tenants/+/devices/+/telemetry")
    publish_all(port, packets)
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, manual_ack=True
    )
    waiting: list[int] = []
    done = threading.Event()
    received = 0

    def on_message(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        nonlocal received
        received += 1
        if receive is not None:
            receive(message)
            client.ack(message.mid, 1)
        else:
            waiting.append(message.mid)
            if len(waiting) == LOOP_BATCH or received == len(packets):
                for mid in waiting:
                    client.ack(mid, 1)
                waiting.clear()
        if received == len(packets):
            done.set()

    client.on_message = on_message
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 4000
    started = time.perf_counter()
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    assert done.wait(300), f"{received} of {len(packets)} messages came"
    took = time.perf_counter() - started
    client.disconnect()
    client.loop_stop()
    forget(port, client_id)
    return len(packets) / took


def forget(port: int, client_id: str) -> None:
    """End the session, so that the broker does not keep the next messages for it too."""
    with connected(port, client_id, version=5, properties=b"\0"):
        pass


def row_by_row(deployment: Deployment, port: int, context: TenantContext, packets: Sequence[Packet]) -> float:
    """Messages a second of what people write first: an INSERT for each value, in `on_message`."""
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(context.schema)))
        points: dict[tuple[str, str], int] = {
            (device, point): number
            for number, device, point in connection.execute(
                "SELECT points.id, devices.slug, points.name"
                " FROM points JOIN devices ON devices.id = device_id"
            )
        }

        def receive(message: mqtt.MQTTMessage) -> None:
            device = message.topic.split("/")[3]
            document = json.loads(message.payload)
            for name, value in document["values"].items():
                connection.execute(
                    "INSERT INTO readings (time, point_id, value) VALUES (to_timestamp(%s / 1000.0), %s, %s)"
                    " ON CONFLICT (point_id, time) DO UPDATE SET value = excluded.value",
                    (document["ts"], points[device, name], value),
                )

        return paho_loop(port, packets, receive)


def staged_copy(deployment: Deployment, context: TenantContext, batches: int) -> float:
    """Rows a second of the superuser's binary COPY to a temporary table, then INSERT … ON CONFLICT."""
    layout = [
        ("n", ">i2"),
        ("a", ">i4"),
        ("time", ">i8"),
        ("b", ">i4"),
        ("point", ">i4"),
        ("c", ">i4"),
        ("v", ">f8"),
    ]
    epoch = 946_684_800_000_000
    start = time.time_ns() // 1000 - epoch - 3_000_000_000 - batches * ROWS
    made = []
    for batch in range(batches):
        rows = np.zeros(ROWS, layout)
        rows["n"], rows["a"], rows["b"], rows["c"] = 3, 8, 4, 8
        rows["time"] = start + batch * ROWS + np.arange(ROWS)
        rows["point"] = 1 + np.arange(ROWS) % DEVICES
        made.append(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(context.schema)))
        connection.execute(
            "CREATE TEMP TABLE staged (time timestamptz, point_id integer, value float8)"
            " ON COMMIT DELETE ROWS"
        )
        started = time.perf_counter()
        for rows_made in made:
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy("COPY staged FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows_made)
                cursor.execute(
                    "INSERT INTO readings (time, point_id, value) SELECT time, point_id, value FROM staged"
                    " ON CONFLICT (point_id, time) DO UPDATE SET value = excluded.value"
                )
        return batches * ROWS / (time.perf_counter() - started)


# From a publish to the API.


class Api:
    """The API in a process of its own, asked by one program."""

    def __init__(self, deployment: Deployment, context: TenantContext, url: str) -> None:
        with (
            closing(Databases({"main": deployment.service_url}, pool_size=1)) as databases,
            databases.core() as core,
        ):
            client_id, secret = create_service_client(core, context, "bench", "devices:read readings:read")
        self._http = httpx.Client(base_url=url)
        answer = self._http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret)
        )
        token = answer.raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._path = f"/api/v1/tenants/{context.slug}/latest"

    def latest(self, device: str) -> float | None:
        answer = self._http.get(self._path, params={"device": device}).raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return float(items[0]["value"]) if items else None

    def close(self) -> None:
        self._http.close()


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process of its own, ended politely."""
    started = subprocess.Popen(
        [sys.executable, "-m", *command], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


class Sender:
    """Publishes at a steady pace, from a thread, until it is stopped."""

    def __init__(self, port: int, topics: Sequence[str], a_second: int) -> None:
        self._port, self._topics, self._a_second = port, topics, a_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with connected(self._port, f"sender-{secrets.token_hex(4)}") as link:
            link.setblocking(False)
            started = time.perf_counter()
            while not self._stopping.wait(0.01):
                due = int((time.perf_counter() - started) * self._a_second)
                packets = bytearray()
                while self.sent < due:
                    topic = self._topics[self.sent % len(self._topics)]
                    payload = f'{{"ts":{time.time_ns() // 1_000_000},"values":{{"p0":{self.sent % 50}}}}}'
                    packets += publish_packet(topic, payload.encode(), self.sent)
                    self.sent += 1
                link.setblocking(True)
                link.sendall(packets)
                link.setblocking(False)
                with suppress(BlockingIOError):
                    link.recv(1 << 16)  # acknowledgements, which nobody counts


def latencies(port: int, api: Api, slug: str, devices: Sequence[str], probes: int) -> list[float]:
    """Seconds from a publish to the first answer of the API that has its value, for `probes` messages."""
    took = []
    with connected(port, f"probe-{secrets.token_hex(4)}") as link:
        for number in range(probes):
            device = devices[number % len(devices)]
            value = 1000.0 + number
            payload = f'{{"values":{{"p0":{value}}}}}'.encode()
            started = time.perf_counter()
            link.sendall(publish_packet(f"tenants/{slug}/devices/{device}/telemetry", payload, number))
            while api.latest(device) != value:
                time.sleep(0.002)
            took.append(time.perf_counter() - started)
            time.sleep(0.05 * (number % 7))  # at all phases of a batch
    return took


def p50_p99(values: Sequence[float]) -> tuple[float, float]:
    """In milliseconds."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


def measure_live(
    deployment: Deployment, port: int, probes: int, progress: Callable[[str], object]
) -> list[Figure]:
    """Figures 4 and 5: ingest and API as processes, a neighbour who floods."""
    quiet, flooder = deployment.create_tenants("bench-quiet", "bench-flood")
    equip(deployment, (quiet, flooder), DEVICES, 1)
    quota = 500
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE insula.tenants SET quotas = %s WHERE slug = 'bench-flood'",
            (json.dumps({"tenant_messages_per_second": quota, "device_messages_per_second": quota}),),
        )
    api_port = free_port()
    url = f"http://127.0.0.1:{api_port}"
    environment = {
        "INSULA_DATABASE_URL": deployment.service_url,
        "INSULA_MQTT_PORT": str(port),
        "INSULA_INGEST_CLIENT_ID": f"bench-{secrets.token_hex(4)}",
        "INSULA_PUBLIC_URL": url,
        "INSULA_API_PORT": str(api_port),
        "INSULA_SECRET_KEY": secrets.token_hex(32),
    }
    probed = device_names(DEVICES)[:10]
    others = [f"tenants/bench-quiet/devices/{name}/telemetry" for name in device_names(DEVICES)[10:]]
    flood = [f"tenants/bench-flood/devices/{name}/telemetry" for name in device_names(DEVICES)]
    with process("insula_ingest", **environment), process("insula_platform", "serve", "api", **environment):
        wait_for(url)
        with closing(Api(deployment, quiet, url)) as api, Sender(port, others, 1000):
            latencies(port, api, "bench-quiet", probed, 20)
            progress("publish → API")
            before = p50_p99(latencies(port, api, "bench-quiet", probed, probes))
        with closing(Api(deployment, quiet, url)) as api, Sender(port, others, 100):
            progress("before the flood")
            calm = p50_p99(latencies(port, api, "bench-quiet", probed, probes))
            with Sender(port, flood, 10 * quota):
                time.sleep(15)  # the burst that the quota allows is spent
                progress("in the flood")
                flooded = p50_p99(latencies(port, api, "bench-quiet", probed, probes))
    flush = IngestSettings.model_fields["ingest_batch_seconds"].default * 1000
    return [
        Figure(
            "4. publish → API at 1 000 messages/s, p50", before[0], "flush interval", flush, "", "ms", True
        ),
        Figure(
            "4. publish → API at 1 000 messages/s, p99",
            before[1],
            "flush interval + 100 ms",
            flush + 100,
            "≤ 1",
            "ms",
            True,
        ),
        Figure(
            "5. neighbour's p99 in a flood of ten quotas",
            flooded[1],
            "its own before",
            calm[1],
            "≤ 1.5",
            "ms",
            True,
        ),
    ]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the API did not start")


def measure(deployment: Deployment, port: int, scale: int, progress: Callable[[str], object]) -> list[Figure]:
    """All figures."""
    progress("preparing 201 tenants")
    (one,) = deployment.create_tenants("bench-one")
    many = deployment.create_tenants(*(f"bench-{number:03}" for number in range(TENANTS)))
    equip(deployment, [one], DEVICES, VALUES)
    equip(deployment, many, DEVICES // 20, 1)
    one_slug, many_slugs = ["bench-one"], [context.slug for context in many]
    # Imports, chunks and the first pages are nobody's cost.
    durable_ingest(deployment, port, telemetry(one_slug + many_slugs, 2, 1, 2 * (TENANTS + 1)))

    count = 40_000 * scale
    progress("bare paho loop")
    bare_one = paho_loop(port, telemetry(one_slug, DEVICES, 1, count))
    progress("one tenant")
    with_one, _ = durable_ingest(deployment, port, telemetry(one_slug, DEVICES, 1, count))
    progress("200 tenants")
    # More of them, for each tenant's devices are read first.
    with_many, _ = durable_ingest(deployment, port, telemetry(many_slugs, DEVICES // 20, 1, 5 * count // 2))
    bare_many = paho_loop(port, telemetry(many_slugs, DEVICES // 20, 1, count))
    progress("ten values a message")
    _, values = durable_ingest(deployment, port, telemetry(one_slug, DEVICES, VALUES, count // 2))
    progress("staged COPY")
    staged = staged_copy(deployment, one, 40 * scale)
    progress("row by row")
    naive = row_by_row(deployment, port, one, telemetry(one_slug, DEVICES, 1, 4000 * scale))
    return [
        Figure("1. durable ingest, one tenant", with_one, "bare paho loop", bare_one, "≥ 0.7"),
        Figure("1. durable ingest, 200 tenants", with_many, "bare paho loop", bare_many, "≥ 0.5"),
        Figure("2. ten values a message, values", values, "staged COPY, rows", staged, "≥ 0.4"),
        Figure("3. durable ingest, one tenant", with_one, "row-by-row INSERT", naive, "≥ 10"),
        *measure_live(deployment, port, 100 * scale, progress),
    ]


def show(console: Console, engine: str, figures: Sequence[Figure]) -> None:
    table = Table(title=f"Ingest into {engine}")
    for name in ("", "measured", "", "its limit", "ratio", "target"):
        table.add_column(name, justify="left" if not name else "right")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.measured:,.0f} {figure.unit}",
            figure.limit_name,
            f"{figure.limit:,.0f} {figure.unit}",
            f"{figure.ratio:.2f}",
            figure.target,
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="ten times the messages")
    parser.add_argument("--short", action="store_true", help="the default")
    scale = 10 if parser.parse_args(argv).long else 1
    console = Console(width=130)
    with (
        server() as url,
        fresh(url) as deployment,
        mosquitto() as port,
        console.status(deployment.engine) as status,
    ):
        figures = measure(deployment, port, scale, status.update)
    show(console, deployment.engine, figures)
    record(
        "ingest",
        deployment.engine,
        {
            figure.name + ", " + figure.limit_name: figure._asdict() | {"ratio": figure.ratio}
            for figure in figures
        },
    )


if __name__ == "__main__":
    main()
