"""The platform's parts as real processes, each of which a test may kill and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from insula_platform.app import create_app
from insula_platform.oauth.clients import create_service_client
from insula_platform.settings import PlatformSettings
from insula_tenants.administration import Administration
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.onboarding import NewDevice, onboard
from insula_tenants.migrate import migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from tests.e2e.occupancy import POINTS, Reading
from tests.servers.mosquitto import INGEST, SecuredMosquitto
from tests.servers.platform import listen, serving
from tests.servers.postgres import EmbeddedPostgres
from tests.waiting import eventually


class IngestProcess:
    """`python -m insula_ingest`."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.log = directory / "ingest.log"
        self._ready = directory / "ingest-ready"
        self._environment = {**os.environ, **environment, "INSULA_INGEST_READY_FILE": str(self._ready)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects by itself."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "insula_ingest"], env=self._environment, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        """Until it is subscribed. Before the first time, the broker has nobody to keep messages for."""
        eventually(self._ready.exists, seconds=20, what="the subscription of ingest")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, politely or not; its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(20)


class Api:
    """The API as a client program sees it."""

    def __init__(self, http: httpx.Client, tenant: str, credentials: tuple[str, str]) -> None:
        self.http = http
        self._path = f"/api/v1/tenants/{tenant}"
        form = {"grant_type": "client_credentials"}
        token = (
            http.post("/oauth/token", data=form, auth=credentials).raise_for_status().json()["access_token"]
        )
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> httpx.Response:
        """One answer, whatever it is."""
        return self.http.get(f"{self._path}/{path}", headers=self._headers)

    def items(self, path: str, **query: str | list[int]) -> list[dict[str, Any]]:
        """Every item of a list, over all its pages."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.http.get(f"{self._path}/{path}", params={**query, **cursor}, headers=self._headers)
            page = answer.raise_for_status().json()
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def readings(self, device: str) -> list[Reading]:
        """Every reading of a device, sorted."""
        names = {point["id"]: point["name"] for point in self.items("points", device=device)}
        if not names:
            return []
        whole = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "limit": "10000"}
        rows = self.items("readings", point=list(names), **whole)
        return sorted(
            (names[row["point"]], datetime.fromisoformat(row["time"]), row["value"]) for row in rows
        )


class Stack:
    """PostgreSQL, Mosquitto and ingest, with the tenants `acme` and `globex`."""

    def __init__(self, directory: Path) -> None:
        self.postgres = EmbeddedPostgres()
        self.admin_url, self.service_url = self.postgres.create_database()
        migrate({"main": self.admin_url}, {"main": self.service_url})
        self.databases = Databases({"main": self.service_url})
        admin = Administration({"main": self.admin_url})
        self.tenants: dict[str, TenantContext] = {}
        for slug in ("acme", "globex"):
            create_tenant(admin, slug, slug.title(), plan="unlimited")
            with self.databases.core() as core:
                self.tenants[slug] = resolve_tenant(core, slug)
        self.broker = SecuredMosquitto(directory / "broker").start()
        self.ingest = IngestProcess(
            directory,
            {
                "INSULA_DATABASE_URL": self.service_url,
                "INSULA_MQTT_PORT": str(self.broker.port),
                "INSULA_MQTT_PASSWORD": self.broker.passwords[INGEST],
            },
        )
        self.ingest.start()
        self.ingest.wait_ready()

    def onboard(self, tenant: str, *devices: str) -> dict[str, str]:
        """Passwords of new devices, by slug."""
        return onboard(
            self.databases,
            self.broker.access,
            self.tenants[tenant],
            [NewDevice(slug, slug.replace("-", " ")) for slug in devices],
        )

    def replay(self, file: Path, tenant: str, device: str, password: str) -> subprocess.Popen[bytes]:
        """`insula replay`, started."""
        command = [sys.executable, "-m", "insula_platform", "replay", str(file)]
        options = {
            "--tenant": tenant,
            "--device": device,
            "--time-column": "date",
            "--time-zone": "Europe/Brussels",
            "--points": ",".join(POINTS),
            "--port": str(self.broker.port),
        }
        return subprocess.Popen(
            [*command, *(word for pair in options.items() for word in pair)],
            env={**os.environ, "INSULA_DEVICE_PASSWORD": password},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    @contextmanager
    def api(self, tenant: str) -> Iterator[Api]:
        """The API, for a program of the tenant with a token of its own."""
        with listen() as listener:
            settings = PlatformSettings(
                public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                secret_key="a secret key that is long enough for tests",
                database_url=self.service_url,
            )
            with self.databases.core() as core:
                credentials = create_service_client(
                    core, self.tenants[tenant], "tests", "devices:read readings:read"
                )
            with (
                serving(create_app(settings), listener),
                httpx.Client(base_url=settings.public_url, timeout=60) as http,
            ):
                yield Api(http, tenant, credentials)

    def stop(self) -> None:
        """End everything."""
        self.ingest.stop()
        self.broker.stop()
        self.databases.close()
        self.postgres.stop()
