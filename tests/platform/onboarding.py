"""A platform beside a real Mosquitto with TLS, and programs of two tenants that bring devices in."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from insula_platform.oauth.clients import create_service_client
from insula_platform.worker.app import make_app
from insula_tenants.audit import list_entries
from insula_tenants.broker import CONTROL
from insula_tenants.database import Databases
from tests.e2e.stack import IngestProcess
from tests.platform.conftest import Live
from tests.servers.certificates import server_files
from tests.servers.mosquitto import INGEST, SecuredMosquitto
from tests.servers.mqtt import MqttClient

SCOPE = "devices:read devices:write readings:read"


@dataclass
class Site:
    """The platform, its broker, and a token for each tenant."""

    live: Live
    broker: SecuredMosquitto
    tokens: dict[str, str]
    http: httpx.Client

    def ask(
        self, method: str, path: str, body: Any = None, *, tenant: str = "acme", **headers: str
    ) -> httpx.Response:
        """One request of the tenant's program."""
        return self.http.request(
            method,
            f"/api/v1/tenants/{tenant}/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.tokens[tenant]}"}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    def onboard(self, slug: str, *, tenant: str = "acme", **more: Any) -> dict[str, Any]:
        """A new device, as the answer tells of it."""
        answer = self.ask("POST", "devices", {"id": slug, "name": slug.title(), **more}, tenant=tenant)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def device(self, secrets: dict[str, str], **options: Any) -> MqttClient:
        """A client with a login that was told."""
        return MqttClient(
            self.broker.port,
            secrets["username"],
            secrets["password"],
            client_id=secrets["client_id"],
            **options,
        )

    def admits(self, secrets: dict[str, str]) -> bool:
        """Whether the broker lets this login in."""
        client = self.device(secrets)
        try:
            return client.connect()
        finally:
            client.close()


@contextmanager
def site(live: Live, directory: Path) -> Iterator[Site]:
    """While the block runs, `live` provisions a Mosquitto, and tells devices of its listener with TLS."""
    files = server_files(directory / "certificates")
    broker = SecuredMosquitto(directory / "broker", files).start()
    settings = live.settings.model_copy(
        update={
            "mqtt_port": broker.port,
            "mqtt_ca_file": files.authority,
            "mqtt_public_host": "localhost",
            "mqtt_public_port": broker.tls_port,
            "mqtt_public_tls": True,
        }
    )
    before = live.platform.settings, live.platform.broker
    object.__setattr__(live.platform, "settings", settings)
    object.__setattr__(live.platform, "broker", broker.access)
    tokens = {}
    for context in (live.deployment.acme, live.deployment.globex):
        with live.deployment.databases.core() as core:
            credentials = create_service_client(core, context, "onboarding", SCOPE)
        answer = live.token_request(credentials, grant_type="client_credentials")
        tokens[context.slug] = answer.json()["access_token"]
    with live.client() as http:
        yield Site(live, broker, tokens, http)
    object.__setattr__(live.platform, "settings", before[0])
    object.__setattr__(live.platform, "broker", before[1])
    broker.stop()


@contextmanager
def taking_in(acme: Site, directory: Path) -> Iterator[None]:
    """While the block runs, ingest takes in what devices of the site publish."""
    program = IngestProcess(
        directory,
        {
            "INSULA_DATABASE_URL": acme.live.deployment.service_url,
            "INSULA_MQTT_PORT": str(acme.broker.port),
            "INSULA_MQTT_PASSWORD": acme.broker.passwords[INGEST],
        },
    )
    program.start()
    program.wait_ready()
    yield
    program.stop()


def latest(acme: Site, device: str) -> dict[str, float]:
    """The device's latest values, by point."""
    items = acme.ask("GET", f"latest?device={device}").json()["items"]
    return {one["name"]: one["value"] for one in items if one.get("value") is not None}


def work(acme: Site) -> None:
    """A worker that does what is due, and leaves."""

    async def once() -> None:
        with closing(Databases({"main": acme.live.deployment.service_url}, pool_size=4)) as databases:
            settings = acme.live.platform.settings.model_copy(
                update={
                    "broker_access": "dynamic-security",
                    "broker_admin_password": SecretStr(acme.broker.passwords[CONTROL]),
                }
            )
            app = make_app(settings, databases)
            async with app.open_async():
                await app.run_worker_async(
                    queues=["default"], wait=False, install_signal_handlers=False, delete_jobs="successful"
                )

    asyncio.run(once())


def run_in(directory: Path, command: list[str] | str, ca: str) -> subprocess.CompletedProcess[str]:
    """Run what was told to paste, where its certificates are."""
    directory.mkdir(exist_ok=True)
    (directory / "insula-ca.pem").write_text(ca)
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def audited(live: Live, target: str) -> list[tuple[str, str]]:
    """Actions on `target` in the audit log, oldest first, with their details as JSON."""
    with live.deployment.databases.core() as core:
        entries = list_entries(core, tenant=live.deployment.acme.id, limit=1000)
        return [(one.action, json.dumps(one.detail)) for one in reversed(entries) if one.target == target]
