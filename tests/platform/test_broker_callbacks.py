"""Brokers that ask over HTTP: requests as EMQX 5 and mosquitto-go-auth send them, and the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
import pytest
import structlog
from sqlalchemy import update

from insula_platform.app import create_app
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import CONTROL, INGEST, new_password
from insula_tenants.broker.refusals import Refusals
from insula_tenants.devices import Device, DeviceCredential, create_device, set_password
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from tests.conftest import Deployment
from tests.servers.platform import listen, serving

SECRET = "what the broker sends, for tests, long enough"
LAMP = {"username": "acme/lamp-1", "clientid": "acme/lamp-1"}
OWN = "tenants/acme/devices/lamp-1"


class Broker:
    """Asks as the brokers do."""

    def __init__(self, http: httpx.Client, refusals: Refusals, passwords: dict[str, str]) -> None:
        self.http = http
        self.passwords = passwords
        self._refusals = refusals

    def asks(self, path: str, body: bytes, kind: str, secret: str | None = SECRET) -> httpx.Response:
        headers = {"content-type": kind} | ({"authorization": f"Bearer {secret}"} if secret else {})
        return self.http.post(f"/internal/mqtt/{path}", content=body, headers=headers)

    def emqx(self, path: str, **fields: object) -> bool:
        """As EMQX 5 renders the body of docs/broker.md, with its way to write JSON."""
        answer = self.asks(path, json.dumps(fields).encode(), "application/json")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        assert said["is_superuser"] is False
        return {"allow": True, "deny": False}[said["result"]]

    def go_auth(self, path: str, **fields: object) -> bool:
        """As mosquitto-go-auth sends it with `http_params_mode form` and `http_response_mode json`."""
        answer = self.asks(path, urlencode(fields).encode(), "application/x-www-form-urlencoded")
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert bool(said["Error"]) is not said["Ok"]
        return bool(said["Ok"])

    def reasons(self) -> list[str]:
        """Why devices were refused, since this was asked last."""
        return [noted.refused.reason for noted in self._refusals.take()]


@pytest.fixture(scope="module")
def broker(deployment: Deployment) -> Iterator[Broker]:
    passwords = {"lamp-1": new_password(), INGEST: new_password()}
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, "lamp-1", name="Lamp")
        set_password(session, "lamp-1", passwords["lamp-1"])
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url,
            secret_key="a secret key that is long enough for tests",
            database_url=deployment.service_url,
            broker_access="http",
            broker_callback_secret=SECRET,
            broker_services={INGEST: passwords[INGEST]},
        )
        structlog.reset_defaults()
        app = create_app(settings)
        with serving(app, listener), httpx.Client(base_url=url, timeout=30) as http:
            yield Broker(http, app.state.platform.refusals, passwords)


@pytest.fixture(params=["emqx", "go_auth"])
def ask(request: pytest.FixtureRequest, broker: Broker):
    return getattr(broker, request.param)


def test_a_device_connects_with_its_password_under_its_own_client_id(broker: Broker, ask):
    password = broker.passwords["lamp-1"]
    assert ask("auth", **LAMP, password=password)
    broker.reasons()
    for wrong, reason in (
        ({"password": "guessed"}, "the password is wrong"),
        ({"password": ""}, "the password is wrong"),
        ({"clientid": "insula-ingest-0"}, "the client id is not acme/lamp-1"),
        ({"username": "acme/lamp-1/2"}, "there is no login acme/lamp-1/2"),
        ({"username": "acme/nobody-1"}, None),
        ({"username": "nobody/lamp-1"}, None),
        ({"username": "acme/+"}, None),
        ({"username": ""}, None),
    ):
        assert not ask("auth", **({"password": password} | LAMP | wrong)), wrong
        assert broker.reasons() == ([reason] if reason else []), wrong


def test_a_service_connects_under_any_client_id_with_its_password_alone(broker: Broker, ask):
    known = {"username": INGEST, "clientid": "insula-ingest-0"}
    assert ask("auth", **known, password=broker.passwords[INGEST])
    assert not ask("auth", **known, password="guessed")
    assert not ask("auth", username=CONTROL, clientid="x", password="")  # no password here at all
    assert broker.reasons() == []


@pytest.mark.parametrize(
    ("action", "acc", "allowed", "refused"),
    [
        ("publish", 2, f"{OWN}/telemetry", "tenants/acme/devices/lamp-2/telemetry"),
        ("publish", 2, f"{OWN}/commands/blink/result", f"{OWN}/desired"),
        ("subscribe", 4, f"{OWN}/commands/+", "tenants/#"),
        (None, 1, f"{OWN}/desired", "tenants/globex/devices/lamp-1/desired"),
    ],
)
def test_a_device_has_its_own_topics(
    broker: Broker, action: str | None, acc: int, allowed: str, refused: str
):
    for topic, may in ((allowed, True), (refused, False)):
        if action:
            assert broker.emqx("acl", **LAMP, action=action, topic=topic) is may
            assert [topic in reason for reason in broker.reasons()] == [True] * (not may)
        assert broker.go_auth("acl", **LAMP, acc=acc, topic=topic) is may
        broker.reasons()
    assert not broker.go_auth("acl", username="acme/+", clientid="x", acc=acc, topic=allowed)


def test_devices_that_may_no_longer_are_refused_and_the_reason_is_kept(
    broker: Broker, ask, deployment: Deployment
):
    asked = {**LAMP, "password": broker.passwords["lamp-1"]}
    past = datetime.now(UTC) - timedelta(seconds=1)
    for table, ended, restored, reason in (
        (DeviceCredential, {"expires_at": past}, {"expires_at": None}, "acme/lamp-1 has expired"),
        (DeviceCredential, {"revoked_at": past}, {"revoked_at": None}, "acme/lamp-1 was revoked"),
        (Device, {"state": "decommissioned"}, {"state": "active"}, "the device is decommissioned"),
    ):
        with deployment.databases.tenant(deployment.acme) as session:
            session.execute(update(table).values(ended))
        # A right password is believed for two seconds: a wrong one is looked up at once.
        assert not ask("auth", **(asked | {"password": "x"}))
        assert [reason in one for one in broker.reasons()] == [True]
        with deployment.databases.tenant(deployment.acme) as session:
            session.execute(update(table).values(restored))
    with deployment.databases.core() as core:
        suspend_tenant(core, "acme", "unpaid")
    assert not ask("auth", **(asked | {"password": "x"}))
    assert broker.reasons() == ["the tenant is suspended"]
    with deployment.databases.core() as core:
        resume_tenant(core, "acme")
    assert ask("auth", **asked)


def test_only_the_broker_is_answered(broker: Broker):
    body = json.dumps({**LAMP, "password": broker.passwords["lamp-1"]}).encode()
    for secret in (None, "", "guessed", SECRET[:-1]):
        for path in ("auth", "acl"):
            answer = broker.asks(path, body, "application/json", secret)
            assert answer.status_code == 401
            assert "allow" not in answer.text


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 60_000, b"x" * 100_000])
def test_nonsense_is_no_question(broker: Broker, body: bytes):
    for path in ("auth", "acl"):
        assert broker.asks(path, body, "application/json").status_code == 422


@pytest.mark.parametrize(
    "changes",
    [
        {"action": ["publish"]},
        {"action": {"publish": 1}},
        {"action": 1},
        {"acc": [1]},
        {"acc": 2**70},
        {"password": "\ud800"},
        {"topic": f"{OWN}/\udfff", "action": "publish"},
    ],
)
def test_a_question_of_odd_values_is_refused_and_breaks_nothing(broker: Broker, changes: dict[str, object]):
    fields = {**LAMP, "password": "guessed", "topic": f"{OWN}/telemetry", **changes}
    for path in ("auth", "acl"):
        answer = broker.asks(path, json.dumps(fields).encode(), "application/json")
        refused = answer.status_code == 200 and answer.json()["result"] == "deny"
        assert refused or answer.status_code == 422, answer.text


def test_without_a_secret_the_routes_are_not_there():
    app = create_app(PlatformSettings(secret_key="a secret key that is long enough for tests"))
    assert not [route for route in app.routes if "internal" in getattr(route, "path", "")]
