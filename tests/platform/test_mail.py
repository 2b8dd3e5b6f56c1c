"""Letters reach a mail server, wait for it, and keep no secret longer than it takes."""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from insula_platform.mail import Letter, enqueue, transports
from insula_platform.mail.delivery import send_letters
from insula_platform.settings import PlatformSettings
from insula_platform.worker.app import make_app
from insula_tenants.database import Databases
from tests.conftest import Deployment
from tests.platform.test_cli import insula

LINK = "https://insula.example.com/reset#geheim"


class Postbox:
    """What a mail server does with each letter: takes it, unless it is told what to answer instead."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _: Any) -> str:  # noqa: N802 - aiosmtpd's
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        return self.answer


class OnFreePort(Controller):
    """aiosmtpd's controller, which knocks at the port it was given, even when that is 0."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Controller, Postbox]]:
    """A mail server on a port of its own, without TLS."""
    postbox = Postbox()
    controller = OnFreePort(postbox, hostname="127.0.0.1", port=0)
    controller.start()
    yield controller, postbox
    controller.stop()


@pytest.fixture
def postbox(server: tuple[Controller, Postbox], deployment: Deployment) -> Postbox:
    """The server's postbox, empty, and no letter in the outbox."""
    with deployment.databases.core() as core:
        core.execute(text("DELETE FROM letters"))
    server[1].taken.clear()
    server[1].answer = "250 OK"
    return server[1]


@pytest.fixture(scope="module")
def settings(deployment: Deployment, server: tuple[Controller, Postbox]) -> PlatformSettings:
    """A platform that knows the mail server."""
    return PlatformSettings(
        secret_key="a secret key that is long enough for tests",
        database_url=deployment.service_url,
        smtp_host="127.0.0.1",
        smtp_port=server[0].port,
        smtp_tls="none",
        mail_from="Insula <no-reply@insula.example.com>",
    )


def write(deployment: Deployment, to: str = "ada@example.com", **options: Any) -> None:
    with deployment.databases.core() as core:
        enqueue(
            core, Letter(to, "Choose a new password at Insula", f"Follow this link:\n\n{LINK}\n", **options)
        )


def stored(deployment: Deployment) -> Any:
    """The one letter of the outbox."""
    with deployment.databases.core() as core:
        return core.execute(text("SELECT *, next_attempt_at - now() AS wait FROM letters")).one()


def make_due(deployment: Deployment) -> None:
    with deployment.databases.core() as core:
        core.execute(text("UPDATE letters SET next_attempt_at = now()"))


def test_a_letter_arrives_whole_and_its_text_is_forgotten(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment)
    assert LINK in stored(deployment).body
    assert send_letters(settings, deployment.databases) == 1
    (letter,) = postbox.taken
    assert (letter["To"], letter["From"]) == ("ada@example.com", "Insula <no-reply@insula.example.com>")
    assert letter["Subject"] == "Choose a new password at Insula"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"] == f"<{stored(deployment).id}@127.0.0.1>"
    assert LINK in letter.get_content()
    assert (stored(deployment).body, stored(deployment).sent_at is None) == (None, False)
    assert send_letters(settings, deployment.databases) == 0, "it is sent once"


def test_a_letter_of_a_transaction_that_fails_was_never_written(deployment: Deployment, postbox: Postbox):
    with deployment.databases.core() as core:
        enqueue(core, Letter("ada@example.com", "Hello", LINK))
        core.rollback()
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM letters")) == 0


def test_a_server_that_is_busy_is_tried_again_later_and_longer_each_time(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment)
    postbox.answer = "451 Come back later"
    waits = []
    for attempt in range(1, 4):
        make_due(deployment)
        assert send_letters(settings, deployment.databases) == 0
        letter = stored(deployment)
        assert (letter.attempts, letter.error) == (attempt, "451 Come back later")
        waits.append(letter.wait)
    assert waits == sorted(waits)
    assert waits[2] > 3 * waits[0]
    postbox.answer = "250 OK"
    assert send_letters(settings, deployment.databases) == 0, "it is not due yet"
    make_due(deployment)
    assert send_letters(settings, deployment.databases) == 1


@pytest.mark.parametrize("to", ["ada@example.com", "ada,eve@example.com"])
def test_a_letter_that_no_server_takes_is_given_up(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox, to: str
):
    write(deployment, to)
    if "," not in to:
        postbox.answer = "550 No such mailbox"
    assert send_letters(settings, deployment.databases) == 0
    letter = stored(deployment)
    assert (letter.failed_at is None, letter.body, postbox.taken) == (False, None, [])


def test_a_letter_nobody_needs_any_more_is_given_up_and_not_sent(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment, lifetime=timedelta(0))
    assert send_letters(settings, deployment.databases) == 0
    assert stored(deployment).failed_at is not None
    assert (stored(deployment).body, postbox.taken) == (None, [])


def test_nothing_travels_in_the_clear_when_encryption_is_asked_for(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment)
    careful = settings.model_copy(
        update={"smtp_tls": "starttls", "smtp_username": "insula", "smtp_password": SecretStr("hunter2")}
    )
    assert send_letters(careful, deployment.databases) == 0
    assert "STARTTLS" in stored(deployment).error
    assert postbox.taken == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_with_encryption_the_server_must_prove_its_name_before_it_gets_anything(
    deployment: Deployment,
    settings: PlatformSettings,
    postbox: Postbox,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    tls: Any,
):
    monkeypatch.setattr(transports, "_TIMEOUT", 2)  # of a connection that is broken off, one side waits
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    given: list[tuple[bytes, bytes]] = []

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        given.append((login.login, login.password))
        return AuthResult(success=login.password == b"hunter2")

    offers = {"authenticator": authenticate}
    if tls == "tls":
        # aiosmtpd sees no TLS that the socket has already, and would refuse a password.
        controller = OnFreePort(
            postbox, "127.0.0.1", 0, ssl_context=context, auth_require_tls=False, **offers
        )
    else:
        controller = OnFreePort(postbox, "127.0.0.1", 0, tls_context=context, require_starttls=True, **offers)
    controller.start()
    try:
        careful = settings.model_copy(
            update={
                "smtp_port": controller.port,
                "smtp_tls": tls,
                "smtp_username": "insula",
                "smtp_password": SecretStr("hunter2"),
            }
        )
        write(deployment)
        assert send_letters(careful, deployment.databases) == 0
        assert "certificate verify failed" in stored(deployment).error
        assert (given, postbox.taken) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        make_due(deployment)
        wrong = careful.model_copy(update={"smtp_password": SecretStr("wrong")})
        assert send_letters(wrong, deployment.databases) == 0
        assert stored(deployment).failed_at is None, "a wrong password is no fault of the letter"
        make_due(deployment)
        assert send_letters(careful, deployment.databases) == 1
        assert given[-1] == (b"insula", b"hunter2")
        assert len(postbox.taken) == 1
    finally:
        controller.stop()


def test_a_server_that_is_not_there_is_no_error_of_the_letter(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
):
    write(deployment)

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(smtplib, "SMTP", refuse)
    assert send_letters(settings, deployment.databases) == 0
    assert (stored(deployment).attempts, stored(deployment).failed_at) == (1, None)


def test_the_worker_is_woken_by_a_letter(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment)
    with deployed_worker(deployment, settings) as app:
        asyncio.run(once(app))
    assert len(postbox.taken) == 1


@contextmanager
def deployed_worker(deployment: Deployment, settings: PlatformSettings) -> Iterator[Any]:
    with closing(Databases({"main": deployment.service_url}, pool_size=4)) as databases:
        yield make_app(settings, databases)


async def once(app: Any) -> None:
    async with app.open_async():
        await app.run_worker_async(
            queues=["default"], wait=False, install_signal_handlers=False, delete_jobs="successful"
        )


def test_without_a_mail_server_letters_wait_and_the_operator_hands_them_over(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox
):
    write(deployment)
    assert send_letters(settings.model_copy(update={"smtp_host": None}), deployment.databases) == 0
    environment = {"INSULA_DATABASE_URL": deployment.service_url, "COLUMNS": "200"}
    listed = insula("mail", "list", "--json", env=environment)
    assert LINK not in listed.stdout
    (letter,) = json.loads(listed.stdout)
    assert (letter["to"], letter["state"], letter["attempts"]) == ("ada@example.com", "waiting", 0)
    assert LINK in insula("mail", "show", letter["id"], env=environment).stdout
    with deployment.databases.core() as core:
        entry = core.execute(text("SELECT action, target FROM audit_log ORDER BY id DESC LIMIT 1")).one()
    assert entry == ("letter.read", "ada@example.com")


def test_for_development_letters_are_written_into_a_directory(
    deployment: Deployment, settings: PlatformSettings, postbox: Postbox, tmp_path: Path
):
    write(deployment)
    to_disk = settings.model_copy(update={"smtp_host": None, "mail_dir": tmp_path / "mail"})
    assert send_letters(to_disk, deployment.databases) == 1
    (path,) = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    letter = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert letter["To"] == "ada@example.com"


def test_no_name_and_no_address_writes_a_header_field():
    for values in (
        ("a@example.com\nBcc: eve@example.com", "x"),
        ("a@example.com", "x\r\nBcc: eve@example.com"),
    ):
        with pytest.raises(ValueError, match="one printable line"):
            Letter(*values, "")


def test_a_mail_server_needs_a_sender():
    with pytest.raises(ValidationError, match="INSULA_MAIL_FROM"):
        PlatformSettings(secret_key="k" * 32, smtp_host="mail.example.com")
