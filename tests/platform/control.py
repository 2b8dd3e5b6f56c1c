"""A platform that speaks to devices: a real Mosquitto, ingest, and programs that may command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insula_ingest.settings import IngestSettings
from insula_platform.link import BrokerLink
from insula_platform.oauth.clients import create_service_client
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import INGEST, PLATFORM
from insula_tenants.devices.onboarding import NewDevice, onboard
from tests.ingest.conftest import RunningIngest
from tests.platform.conftest import Live
from tests.platform.onboarding import Site
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient
from tests.waiting import eventually

SCOPE = "devices:read devices:write commands:write readings:read"


class Control(Site):
    """Beside the platform and its broker: ingest, and the passwords of devices."""

    ingest: RunningIngest
    passwords: dict[str, str]

    def add(self, *slugs: str, tenant: str = "acme", **more: Any) -> None:
        """New devices."""
        context = getattr(self.live.deployment, tenant)
        new = [NewDevice(slug, slug.title(), **more) for slug in slugs]
        told = onboard(self.live.deployment.databases, self.broker.access, context, new)
        self.passwords |= {f"{tenant}/{slug}": password for slug, password in told.items()}

    def client(self, slug: str, *, tenant: str = "acme", **options: Any) -> MqttClient:
        """A device's connection."""
        name = f"{tenant}/{slug}"
        return MqttClient(self.broker.port, name, self.passwords[name], **options)

    def command(self, slug: str, **asked: Any) -> dict[str, Any]:
        """A command that was given."""
        answer = self.ask("POST", f"devices/{slug}/commands", {"name": "blink", **asked})
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def state_of(self, command: dict[str, Any]) -> str:
        """What became of a command."""
        answer = self.ask("GET", f"devices/{command['device']}/commands/{command['id']}")
        return str(answer.json()["state"])

    def twin(self, slug: str) -> dict[str, Any]:
        """A device's twin."""
        told: dict[str, Any] = self.ask("GET", f"devices/{slug}/twin").json()
        return told


@contextmanager
def controlled(live: Live, directory: Path) -> Iterator[Control]:
    """While the block runs, `live` has a link to a Mosquitto, and ingest hears the devices there."""
    broker = SecuredMosquitto(directory / "broker").start()
    settings = IngestSettings(
        database_url=live.deployment.service_url,
        mqtt_port=broker.port,
        mqtt_password=broker.passwords[INGEST],
        ingest_batch_seconds=0.05,
    )
    ingest = RunningIngest(settings).start()
    with linked(live, broker), live.client() as http:
        control = Control(live, broker, _tokens(live), http)
        control.ingest, control.passwords = ingest, {}
        yield control
    ingest.stop()
    broker.stop()


@contextmanager
def linked(live: Live, broker: SecuredMosquitto) -> Iterator[BrokerLink]:
    """A link of the platform's to this broker."""
    settings = PlatformSettings(
        secret_key="a secret key that is long enough for tests",
        mqtt_port=broker.port,
        live_mqtt_password=broker.passwords[PLATFORM],
    )
    link = BrokerLink(settings)
    link.start()
    eventually(lambda: link.connected, what="the platform's connection to the broker")
    object.__setattr__(live.platform, "link", link)
    yield link
    object.__setattr__(live.platform, "link", None)
    link.stop()


def _tokens(live: Live) -> dict[str, str]:
    tokens = {}
    for context in (live.deployment.acme, live.deployment.globex):
        with live.deployment.databases.core() as core:
            credentials = create_service_client(core, context, "control", SCOPE)
        answer = live.token_request(credentials, grant_type="client_credentials")
        tokens[context.slug] = answer.json()["access_token"]
    return tokens
