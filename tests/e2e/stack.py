"""The platform's parts as real processes, each of which a test may kill and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from insula_ingest.settings import IngestSettings
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.onboarding import NewDevice, onboard
from insula_tenants.migrate import admin_engine, migrate
from insula_tenants.registry import create_tenant, resolve_tenant
from tests.servers.mosquitto import INGEST, SecuredMosquitto
from tests.servers.postgres import EmbeddedPostgres


class IngestProcess:
    """`python -m insula_ingest`."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.log = directory / "ingest.log"
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects by itself."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "insula_ingest"], env=self._environment, stdout=log, stderr=log
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, politely or not; its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(20)


class Stack:
    """PostgreSQL, Mosquitto and ingest, with the tenants `acme` and `globex`."""

    def __init__(self, directory: Path) -> None:
        self.postgres = EmbeddedPostgres()
        self.admin_url, self.service_url = self.postgres.create_database()
        migrate({"main": self.admin_url}, {"main": self.service_url})
        self.databases = Databases({"main": self.service_url})
        admin = admin_engine(self.admin_url)
        self.tenants: dict[str, TenantContext] = {}
        for slug in ("acme", "globex"):
            create_tenant(admin, slug, slug.title())
            with self.databases.core() as core:
                self.tenants[slug] = resolve_tenant(core, slug)
        self.broker = SecuredMosquitto(directory / "broker").start()
        self.ingest = IngestProcess(
            directory,
            {
                "INSULA_DATABASE_URL": self.service_url,
                "INSULA_MQTT_PORT": str(self.broker.services_port),
                "INSULA_MQTT_PASSWORD": self.broker.passwords[INGEST],
            },
        )
        self.ingest.start()

    def onboard(self, tenant: str, *devices: str) -> dict[str, str]:
        """Passwords of new devices, by slug."""
        return onboard(
            self.databases,
            self.broker.access,
            self.tenants[tenant],
            [NewDevice(slug, slug.replace("-", " ")) for slug in devices],
        )

    def ingest_settings(self) -> IngestSettings:
        """What the ingest process was given."""
        return IngestSettings(database_url=self.service_url, mqtt_port=self.broker.services_port)

    def stop(self) -> None:
        """End everything."""
        self.ingest.stop()
        self.broker.stop()
        self.databases.close()
        self.postgres.stop()
