"""Start everything in order, say where it is, watch it, end it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import IO

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import exists, select

from insula_platform.broker import (
    amqtt_command,
    amqtt_environment,
    choose_broker,
    mosquitto_command,
    mosquitto_missing,
)
from insula_platform.demo.buildings import TENANTS, TRY_OUT, DemoTenant, sensors_of
from insula_platform.demo.ports import LOOPBACK, choose_port, is_open
from insula_platform.demo.postgres import EmbeddedPostgres
from insula_platform.demo.processes import Child, Processes
from insula_platform.demo.secrets import DemoSecrets, write_private
from insula_platform.demo.seed import device_secret, device_slug, seed
from insula_platform.settings import PlatformSettings
from insula_tenants.administration import Administration
from insula_tenants.broker.access import broker_access
from insula_tenants.broker.rules import CONTROL, INGEST, PLATFORM
from insula_tenants.database import MAIN, Databases
from insula_tenants.devices import list_devices
from insula_tenants.errors import ConfigurationError
from insula_tenants.migrate import MigrationReport, migrate
from insula_tenants.registry import resolve_closed_or_open
from insula_tenants.telemetry.models import Reading

_HISTORY_HOURS = 24.0
_HISTORY_DAYS = 28
"""Days before that, which the sensors tell of meanwhile: enough for each hour of a week to be typical."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of this demo listen."""

    api: int
    ui: int
    mqtt: int

    @property
    def api_url(self) -> str:
        """The platform's address."""
        return f"http://{LOOPBACK}:{self.api}"

    @property
    def ui_url(self) -> str:
        """The analytics UI's address."""
        return f"http://{LOOPBACK}:{self.ui}"


class Demo:
    """One running demo. `run` returns when it was asked to end."""

    def __init__(self, directory: Path, console: Console) -> None:
        """`directory` keeps data, secrets and logs from one run to the next."""
        self._console = console
        self._directory = directory.resolve()
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "log").mkdir(exist_ok=True)
        self._lock = _take(self._directory / "lock")
        self._secrets = DemoSecrets(self._directory / "secrets.json")
        self._processes = Processes(self._directory / "log")
        self._ending = threading.Event()

    def run(self) -> None:
        """Start, wait for Ctrl-C (or SIGTERM, SIGHUP), stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        postgres: EmbeddedPostgres | None = None
        try:
            with self._console.status("Starting PostgreSQL") as status:
                postgres = EmbeddedPostgres(self._directory / "postgresql")
                taken: set[int] = set()
                addresses = Addresses(*(choose_port(preferred, taken) for preferred in (8000, 8501, 1883)))
                report = self._start_all(postgres, addresses, status.update)
            if not self._ending.is_set():
                self._announce(addresses, report)
            while not self._ending.wait(0.5):
                for child in self._processes.restart_ended():
                    self._console.print(f"[yellow]{child.name} ended and starts again[/]; see {child.log}")
        finally:
            with self._console.status("Stopping"):
                self._processes.stop()
                if postgres is not None:
                    postgres.stop()
            self._lock.close()
        self._console.print("Stopped. The data stays: the next start continues from here.")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._ending.set()

    def _start_all(
        self, postgres: EmbeddedPostgres, addresses: Addresses, say: Callable[[str], object]
    ) -> MigrationReport:
        environment = self._environment(postgres, addresses)
        say("Migrating the database")
        report = migrate({MAIN: postgres.admin_url}, {MAIN: postgres.service_url})
        say("Starting the broker")
        environment |= self._start_broker(addresses, environment)
        _write_exports(
            self._directory / "operator.env",
            environment | {"INSULA_DATABASE_ADMIN_URL": postgres.admin_url},
        )
        settings = PlatformSettings.model_validate(_fields(environment))
        say("Preparing two tenants")
        databases = Databases({MAIN: postgres.service_url}, application_name="insula-demo")
        admin = Administration({MAIN: postgres.admin_url})
        try:
            seed(admin, databases, broker_access(settings), self._secrets)
            since = {tenant.slug: _hours_since_last(databases, tenant) for tenant in TENANTS}
            remembered = {tenant.slug: _has_history(databases, tenant) for tenant in TENANTS}
        finally:
            databases.close()
            admin.close()
        say("Starting the services")
        python = [sys.executable, "-m"]
        # These two make and erase tenants; no other process is given the administrator's URL.
        making = environment | {"INSULA_DATABASE_ADMIN_URL": postgres.admin_url}
        api = self._processes.start("api", [*python, "insula_platform", "serve", "api"], making)
        self._processes.start("worker", [*python, "insula_platform", "serve", "worker"], making)
        ready = self._directory / "ingest-ready"
        ready.unlink(missing_ok=True)
        ingest = self._processes.start(
            "ingest", [*python, "insula_ingest"], environment | {"INSULA_INGEST_READY_FILE": str(ready)}
        )
        ui = self._processes.start(
            "ui", [*python, "insula_analytics_ui", "--port", str(addresses.ui)], environment
        )
        # Before the first subscription the broker has nobody to keep messages for.
        self._processes.wait_ready(ingest, lambda: self._ending.is_set() or ready.exists())
        for tenant in TENANTS:
            self._start_sensors(
                tenant, addresses, environment, since[tenant.slug], tell_all=not remembered[tenant.slug]
            )
        self._processes.wait_ready(
            api, lambda: self._ending.is_set() or _answers(f"{addresses.api_url}/readyz")
        )
        self._processes.wait_ready(
            ui, lambda: self._ending.is_set() or _answers(f"{addresses.ui_url}/_stcore/health")
        )
        return report

    def _environment(self, postgres: EmbeddedPostgres, addresses: Addresses) -> dict[str, str]:
        secrets = self._secrets
        return {
            "INSULA_DATABASE_URL": postgres.service_url,
            "INSULA_PUBLIC_URL": addresses.api_url,
            "INSULA_PLATFORM_URL": addresses.api_url,
            "INSULA_UI_URL": addresses.ui_url,
            "INSULA_BUNDLE_DIR": str(self._directory / "bundles"),
            "INSULA_MAIL_DIR": str(self._directory / "mail"),
            "INSULA_API_PORT": str(addresses.api),
            "INSULA_SECRET_KEY": secrets.get("secret key"),
            "INSULA_UI_CLIENT_SECRET": secrets.get("client insula-ui"),
            "INSULA_MQTT_HOST": LOOPBACK,
            "INSULA_MQTT_PORT": str(addresses.mqtt),
            "INSULA_MQTT_PASSWORD": secrets.get("broker ingest"),
            "INSULA_LIVE_MQTT_PASSWORD": secrets.get("broker platform"),
            "INSULA_BROKER_ADMIN_PASSWORD": secrets.get("broker control"),
        }

    def _start_broker(self, addresses: Addresses, environment: dict[str, str]) -> dict[str, str]:
        """Start the broker; returns what the services must know of it."""
        services = {
            INGEST: SecretStr(self._secrets.get("broker ingest")),
            CONTROL: SecretStr(self._secrets.get("broker control")),
            PLATFORM: SecretStr(self._secrets.get("broker platform")),
        }
        if choose_broker() == "mosquitto":
            command = mosquitto_command(self._directory / "mosquitto", addresses.mqtt, services)
            child = self._processes.start("broker", command)
            chosen = {"INSULA_BROKER_ACCESS": "dynamic-security"}
        else:
            database_url = SecretStr(environment["INSULA_DATABASE_URL"])
            child = self._processes.start(
                "broker", amqtt_command(), amqtt_environment(addresses.mqtt, services, database_url)
            )
            chosen = {"INSULA_BROKER_ACCESS": "none", "INSULA_MQTT_VERSION": "3.1.1"}
            self._console.print(
                f"{mosquitto_missing()}. Until then, amqtt: a broker in Python, MQTT 3.1.1 alone, about a "
                "tenth of the speed; right for a first look."
            )
        self._processes.wait_ready(child, lambda: is_open(addresses.mqtt))
        return chosen

    def _start_sensors(
        self,
        tenant: DemoTenant,
        addresses: Addresses,
        environment: dict[str, str],
        hours: float,
        *,
        tell_all: bool,
    ) -> Child:
        credentials = [
            {
                "device": device_slug(room, sensor),
                "kind": sensor.kind,
                # What stands for the whole building agrees by the building's name.
                "room": room.name if room.is_used else tenant.building,
                "password": self._secrets.find(device_secret(tenant.slug, device_slug(room, sensor))),
            }
            for room in tenant.rooms
            for sensor in sensors_of(room)
        ]
        path = self._directory / f"sensors-{tenant.slug}.json"
        write_private(path, json.dumps(credentials))
        options = {
            "--tenant": tenant.slug,
            "--credentials": str(path),
            "--host": LOOPBACK,
            "--port": str(addresses.mqtt),
            "--time-zone": tenant.time_zone,
            "--protocol": environment.get("INSULA_MQTT_VERSION", "5"),
        }
        if minutes := int(min(hours, _HISTORY_HOURS) * 60):
            options["--backfill"] = f"{minutes}m"
        if tell_all:
            options["--history"] = f"{_HISTORY_DAYS}d"
        command = [sys.executable, "-m", "insula_ingest.sensors.rooms"]
        return self._processes.start(
            f"sensors-{tenant.slug}", [*command, *(word for pair in options.items() for word in pair)]
        )

    def _announce(self, addresses: Addresses, report: MigrationReport) -> None:
        secrets = self._secrets
        exports = {
            "INSULA_API": f"{addresses.api_url}/api/v1/tenants/acme",
            "INSULA_TOKEN_URL": f"{addresses.api_url}/oauth/token",
            "INSULA_CLIENT_ID": secrets.get("client acme id"),
            "INSULA_CLIENT_SECRET": secrets.get("client acme"),
            "INSULA_MQTT_HOST": LOOPBACK,
            "INSULA_MQTT_PORT": str(addresses.mqtt),
            "INSULA_DEVICE_USERNAME": f"acme/{TRY_OUT}",
            "INSULA_DEVICE_PASSWORD": secrets.get(device_secret("acme", TRY_OUT)),
        }
        path = self._directory / "demo.env"
        _write_exports(path, exports)
        table = Table(title="Sign in as", title_justify="left", box=None, pad_edge=False)
        for column in ("E-mail", "Password", "Tenant", "Role"):
            table.add_column(column)
        for tenant in TENANTS:
            for email, _name, role in tenant.people:
                table.add_row(email, secrets.get(f"person {email}"), tenant.name, role)
        console = self._console
        console.print(f"\n[bold green]Insula is ready.[/]  ({report.engine} {report.engine_version})\n")
        console.print(f"  Analytics   {addresses.ui_url}")
        console.print(f"  API         {addresses.api_url}/docs")
        console.print(f"  MQTT        {LOOPBACK}:{addresses.mqtt}\n")
        console.print(table)
        console.print(f"\nFor curl and mosquitto_pub, in another terminal:  . {_near(path)}")
        console.print(f"Letters to people are in {_near(self._directory / 'mail')}.")
        console.print(f"Logs are in {_near(self._directory / 'log')}.  Ctrl-C ends everything.\n")


def _write_exports(path: Path, exports: Mapping[str, str]) -> None:
    """A file that a shell reads with `.`, and nobody but its owner."""
    write_private(path, "".join(f"export {name}='{value}'\n" for name, value in exports.items()))


def _take(path: Path) -> IO[str]:
    """Hold the directory for this process alone."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise ConfigurationError(f"another demo is running on {path.parent}: end it first") from None
    return handle


def _fields(environment: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("INSULA_").lower(): value for name, value in environment.items()}


def _hours_since_last(databases: Databases, tenant: DemoTenant) -> float:
    """How much of the past the sensors should send: since the one that fell silent first, or a day."""
    with databases.core() as core:
        context = resolve_closed_or_open(core, tenant.slug)
    with databases.tenant(context) as session:
        seen = [device.last_seen for device in list_devices(session, limit=1000) if device.id != TRY_OUT]
    times = [time for time in seen if time is not None]
    if len(times) < len(seen):
        return _HISTORY_HOURS
    return max(0.0, (datetime.now(UTC) - min(times)) / timedelta(hours=1))


def _has_history(databases: Databases, tenant: DemoTenant) -> bool:
    """Whether the sensors have told of all their past: the oldest comes last."""
    with databases.core() as core:
        context = resolve_closed_or_open(core, tenant.slug)
    long_ago = datetime.now(UTC) - timedelta(days=364)
    with databases.tenant(context) as session:
        return session.scalar(select(exists().where(Reading.time < long_ago))) or False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _near(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
