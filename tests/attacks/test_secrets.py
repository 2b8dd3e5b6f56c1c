"""No secret is written anywhere: every part runs with its most talkative logs, and all of it is searched.

What must not be found are the very passwords, tokens, codes and keys that were used; hashes may be.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
import pyotp
import pytest
import structlog
from psycopg import sql
from sqlalchemy import make_url

from insula_platform.app import create_app
from insula_platform.oauth.clients import create_service_client, ensure_ui_client
from insula_platform.people import add_member, create_account
from insula_platform.settings import PlatformSettings
from insula_tenants.invitations import invite
from insula_tenants.migrate import migrate
from tests.e2e.stack import IngestProcess, Stack
from tests.platform.conftest import Authorization, Browser, Live, returned
from tests.servers.mqtt import MqttClient
from tests.servers.platform import listen, serving
from tests.waiting import eventually

PASSWORD = "the password of ada 5yZq"
NEWCOMERS_PASSWORD = "the password of a newcomer 6tHs"
CHANGED = "the changed password of a newcomer 2jWn"
WRONG = "a password that is wrong 8wQx"
UI_SECRET = "the secret of the analytics UI 3kVb"
SECRET_KEY = "the secret key of the platform 7mRt"
DATABASE_PASSWORD = "the-password-of-the-services-9pLd"
_UI = "insula-ui"

TALKATIVE = "import logging; logging.basicConfig(level='DEBUG'); from insula_ingest.service import run; run()"


class TalkativeIngest(IngestProcess):
    """Ingest with every log line that there is, libraries' included."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", TALKATIVE], env=self._environment, stdout=log, stderr=log
            )


@dataclass
class Traces:
    """What was used, and where it may have been left."""

    secrets: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    directory = tmp_path_factory.mktemp("secrets")
    found = Traces()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_TEST_SERVICE_PASSWORD", DATABASE_PASSWORD)
        patch.setattr("tests.e2e.stack.IngestProcess", TalkativeIngest)
        stack = Stack(directory)
    try:
        log = _log_all_statements(stack)
        _another_service_login(stack)
        with _talkative(directory / "platform.log"):
            _use_everything(stack, found)
        _collect(stack, directory, log, found)
    finally:
        stack.stop()
    return found


def _log_all_statements(stack: Stack) -> Path:
    """PostgreSQL writes each statement with the values bound to it, as some operators let it."""
    with psycopg.connect(stack.postgres.admin_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    log = Path(data) / "log"
    eventually(lambda: log.exists() and "log_statement" in log.read_text(), what="the server's log")
    return log


def _another_service_login(stack: Stack) -> None:
    """A deployment's first migration makes the login: here under the eyes of the log."""
    admin, service = (make_url(url) for url in stack.postgres.create_database())
    service = service.set(username="insula_service_of_secrets", password=DATABASE_PASSWORD)
    urls = [url.render_as_string(hide_password=False) for url in (admin, service)]
    migrate({"main": urls[0]}, {"main": urls[1]})


class _talkative:  # noqa: N801 - reads like a function
    """All logs of this process into a file, those of the tests' own client apart."""

    def __init__(self, file: Path) -> None:
        self.handler = logging.FileHandler(file)
        self.handler.addFilter(lambda record: not record.name.startswith(("http", "paho")))

    def __enter__(self) -> None:
        structlog.reset_defaults()
        self.level = logging.getLogger().level
        logging.getLogger().addHandler(self.handler)
        logging.getLogger().setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self.level)
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()


def _use_everything(stack: Stack, found: Traces) -> None:
    secrets = found.secrets
    secrets |= {f"the broker's login {name}": word for name, word in stack.broker.passwords.items()}
    secrets |= {
        "the person's password": PASSWORD,
        "a wrong password": WRONG,
        "the UI's secret": UI_SECRET,
        "the platform's key": SECRET_KEY,
        "the database's password": DATABASE_PASSWORD,
    }
    secrets["the device's password"] = stack.onboard("acme", "meter")["meter"]
    with listen() as listener:
        settings = PlatformSettings(
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            secret_key=SECRET_KEY,
            database_url=stack.service_url,
            ui_client_secret=UI_SECRET,
        )
        with stack.databases.core() as core:
            ensure_ui_client(core, settings)
            ada = create_account(core, "ada@example.com", "Ada", PASSWORD)
            add_member(core, ada, stack.tenants["acme"], "owner")
            service = create_service_client(core, stack.tenants["acme"], "tests", "readings:read")
        secrets["the program's secret"] = service[1]
        app = create_app(settings)
        with serving(app, listener):
            live = Live(settings.public_url, settings, app.state.platform, None, service)  # type: ignore[arg-type]
            _sign_in(live, found)
            _join(stack, live, found)
            _prove(live, found)
            _fail(live, found)
            private = live.platform.signing_keys.signing_key().as_dict(private=True)
            secrets |= {f"the signing key's {name}": str(private[name]) for name in ("d", "p", "q")}
    name, password = "acme/meter", secrets["the device's password"]
    with MqttClient(stack.broker.port, name, password) as device:
        assert device.publish("tenants/acme/devices/meter/telemetry", '{"temperature": 21.5}') == "taken"
        assert device.publish("tenants/acme/devices/meter/telemetry", "no reading") == "taken"
    stranger = MqttClient(stack.broker.port, name, WRONG)
    assert not stranger.connect()
    stranger.close()
    count = sql.SQL("SELECT (SELECT count(*) FROM {0}.readings) * (SELECT count(*) FROM {0}.dead_letters)")
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        stored = count.format(sql.Identifier(stack.tenants["acme"].schema))
        eventually(lambda: connection.execute(stored).fetchone() == (1,), what="what the device sent")


def _sign_in(live: Live, found: Traces) -> None:
    """Password, session, code, tokens, refresh, revocation."""
    with Browser(live) as browser:
        asked = Authorization(live)
        back = _with_password(browser, asked)
        found.secrets |= {"a code": back["code"], "a code verifier": asked.verifier}
        found.secrets |= {
            f"the cookie {cookie.name}": cookie.value or "" for cookie in browser.http.cookies.jar
        }
    redeemed = live.token_request(
        (_UI, UI_SECRET),
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=asked.parameters["redirect_uri"],
        code_verifier=asked.verifier,
    ).json()
    refreshed = live.token_request(
        (_UI, UI_SECRET), grant_type="refresh_token", refresh_token=redeemed["refresh_token"]
    ).json()
    program = live.token_request(live.service, grant_type="client_credentials").json()
    for kind, tokens in (("first", redeemed), ("refreshed", refreshed), ("program's", program)):
        for name in ("access_token", "id_token", "refresh_token"):
            if name in tokens:
                found.secrets[f"the {kind} {name}"] = tokens[name].rpartition(".")[2]
    assert live.get("/api/v1/tenants/acme/devices", refreshed["access_token"]).status_code == 200
    assert live.get("/oauth/userinfo", refreshed["access_token"]).status_code == 200
    with live.client() as http:
        form = {"token": refreshed["refresh_token"]}
        assert http.post("/oauth/revoke", data=form, auth=(_UI, UI_SECRET)).status_code == 200


def _join(stack: Stack, live: Live, found: Traces) -> None:
    """A newcomer accepts an invitation, and tries it again."""
    with stack.databases.core() as core:
        token = invite(core, stack.tenants["acme"].id, "nell@example.com", "viewer")
    found.secrets |= {"an invitation": token, "the newcomer's password": NEWCOMERS_PASSWORD}
    with Browser(live) as browser:
        page = browser.submit(browser.open("/invitation"), invitation=token)
        assert browser.submit(page, name="Nell", password=NEWCOMERS_PASSWORD).is_redirect
        assert browser.submit(browser.open("/invitation"), invitation=token).status_code == 404


def _prove(live: Live, found: Traces) -> None:
    """A new password, an authenticator app, its codes and recovery codes, and a sign-in by both factors."""
    nell = "nell@example.com"
    with Browser(live) as browser:
        browser.sign_in(browser.open("/signin"), nell, NEWCOMERS_PASSWORD)
        browser.submit(browser.open("/account/password"), password=NEWCOMERS_PASSWORD, new_password=CHANGED)
        page = browser.submit(browser.open("/account/factors"), "/account/factors/app")
        secret = re.findall(r"<code>([A-Z2-7 ]+)</code>", page.text)[0].replace(" ", "")
        app = pyotp.TOTP(secret)
        done = browser.submit(page, code=app.generate_otp(int(time.time()) // 30 - 1))
        codes = re.findall(r"<code>([a-z2-7-]{29})</code>", done.text)
    with Browser(live) as browser:
        page = browser.sign_in(browser.open("/signin"), nell, CHANGED)
        found.secrets["the cookie between the factors"] = browser.http.cookies["insula_step"]
        assert browser.submit(page, code="a wrong code").status_code == 403
        assert browser.submit(page, code=codes[0]).is_redirect
        found.secrets["the device cookie"] = browser.http.cookies["insula_device"]
    found.secrets |= {"the changed password": CHANGED, "the app's secret": secret}
    found.secrets |= {f"recovery code {number}": code for number, code in enumerate(codes)}
    found.secrets |= {
        f"recovery code {number}, plain": code.replace("-", "") for number, code in enumerate(codes)
    }


def _with_password(browser: Browser, asked: Authorization) -> dict[str, str]:
    page = browser.open("/oauth/authorize", **asked.parameters)
    refused = browser.sign_in(page, "ada@example.com", WRONG)
    assert refused.status_code == 403
    return returned(browser.sign_in(refused, "ada@example.com", PASSWORD))


def _fail(live: Live, found: Traces) -> None:
    """Whatever goes wrong with a secret in hand, its answer does not repeat it."""
    secrets = found.secrets
    bearer = secrets["the refreshed access_token"]
    requests: list[tuple[str, str, dict[str, object]]] = [
        ("GET", "/api/v1/tenants/acme/devices", {"headers": {"Authorization": f"Bearer {bearer}"}}),
        ("GET", "/api/v1/tenants/acme/devices", {"headers": {"Authorization": f"Basic {bearer}"}}),
        ("GET", "/api/v1/tenants/acme/devices", {"params": {"access_token": bearer}}),
        ("POST", "/oauth/token", {"data": {"grant_type": "password", "password": PASSWORD}}),
        ("POST", "/oauth/token", {"data": {"grant_type": PASSWORD}, "auth": (_UI, UI_SECRET)}),
        ("POST", "/oauth/token", {"json": {"client_secret": UI_SECRET, "password": PASSWORD}}),
        ("POST", "/oauth/token", {"data": {"grant_type": "client_credentials"}, "auth": (_UI, WRONG)}),
        ("POST", "/oauth/token", {"data": {"grant_type": "client_credentials"}, "auth": ("nobody", WRONG)}),
        (
            "POST",
            "/oauth/token",
            {
                "data": {"grant_type": "refresh_token", "refresh_token": secrets["the first refresh_token"]},
                "auth": (_UI, UI_SECRET),
            },
        ),
        (
            "POST",
            "/oauth/token",
            {
                "data": {"grant_type": "authorization_code", "code": secrets["a code"], "code_verifier": "x"},
                "auth": (_UI, UI_SECRET),
            },
        ),
        ("POST", "/oauth/revoke", {"data": {"token": bearer}, "auth": (_UI, WRONG)}),
        ("GET", "/oauth/authorize", {"params": {"client_id": "nobody", "code_challenge": PASSWORD}}),
        ("GET", "/oauth/logout", {"params": {"id_token_hint": secrets["the first id_token"]}}),
        ("POST", "/signin", {"data": {"email": "ada@example.com", "password": PASSWORD}}),
        ("POST", "/signin", {"content": PASSWORD.encode() + b"\xff\x00=%"}),
        ("POST", "/invitation", {"data": {"invitation": secrets["an invitation"]}}),
        (
            "POST",
            "/invitation/join",
            {"data": {"invitation": secrets["an invitation"], "password": PASSWORD}},
        ),
        ("GET", "/oauth/userinfo", {"headers": {"Authorization": f"Bearer {bearer}"}}),
    ]
    with httpx.Client(base_url=live.url) as http:
        for number, (method, path, options) in enumerate(requests):
            answer = http.request(method, path, **options)  # type: ignore[arg-type]
            assert 400 <= answer.status_code < 500, (method, path, answer.text)
            found.written[f"answer {number} of {method} {path}"] = f"{answer.headers}\n{answer.text}"


def _collect(stack: Stack, directory: Path, log: Path, found: Traces) -> None:
    """Logs and files of all parts, each row of each table, and the command lines."""
    me = psutil.Process()
    found.commands += [" ".join(child.cmdline()) for child in me.children(recursive=True)]
    stack.ingest.stop()
    stack.broker.stop()
    for file in directory.rglob("*"):
        if file.is_file():
            found.written[str(file.relative_to(directory))] = file.read_bytes().decode("latin-1")
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND (table_schema = 'insula' OR table_schema LIKE 'tenant_%')"
        ).fetchall()
        for schema, name in tables:
            rows = connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(schema, name))
            )
            found.written[f"table {schema}.{name}"] = "\n".join(row for (row,) in rows)
    found.written["PostgreSQL's log"] = log.read_text()


def test_no_secret_stands_in_a_log_a_file_a_table_or_an_answer(traces: Traces):
    assert all(len(secret) > 15 for secret in traces.secrets.values()), "too short to search for"
    assert len(traces.secrets) > 20
    found = [
        (name, place)
        for name, secret in traces.secrets.items()
        for place, written in traces.written.items()
        if secret in written
    ]
    assert found == []


def test_no_secret_stands_in_a_command_line(traces: Traces):
    assert any("insula_ingest" in command for command in traces.commands)
    for name, secret in traces.secrets.items():
        assert not any(secret in command for command in traces.commands), name


def test_what_was_searched_is_what_was_written(traces: Traces):
    """Each place has words that it should have: nothing was looked for in an empty file."""
    expected = {
        "platform.log": "invitation accepted",
        "table insula.invitations": "nell@example.com",
        "ingest.log": "connected to the broker",
        "broker/state/mosquitto.log": "acme/meter",
        "broker/state/logins.json": "acme/meter",
        "PostgreSQL's log": "PASSWORD 'SCRAM-SHA-256$",
        "table insula.accounts": "$argon2id$",
        "table insula.oauth_refresh_tokens": ",",
        "table tenant_acme.device_credentials": ",",
        "table tenant_acme.dead_letters": b"no reading".hex(),
    }
    for place, word in expected.items():
        assert word in traces.written[place], place
