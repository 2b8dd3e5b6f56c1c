"""Whom a Mosquitto that takes certificates trusts: two files beside it, and an end for sessions of others.

`authorities.pem` holds the authorities of all open tenants, `revoked.pem` their lists of revoked
certificates. Both are replaced whole when they change, and Mosquitto reads them again on SIGHUP. It must
never read half of one: with a list that it cannot read, Mosquitto 2.0.11 takes every certificate.

Mosquitto checks a certificate when its owner connects and not again. So the session of a certificate that is
not good any more is taken over, under its client id, by the control service, and ended.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.exc import DBAPIError

from insula_platform.certificates.service import authorities_seal
from insula_platform.settings import PlatformSettings
from insula_tenants.broker import BrokerError
from insula_tenants.broker.conversation import take_over
from insula_tenants.broker.tls import broker_tls
from insula_tenants.broker.x509 import certificate_name
from insula_tenants.certificates import Holder, Trusted, ended_since, holders_in, trusted
from insula_tenants.certificates.authority import make_authority, make_crl
from insula_tenants.database import Databases
from insula_tenants.errors import ConfigurationError
from insula_tenants.registry.service import closed_tenants

log = logging.getLogger("insula.trust")

EVERY = 2.0
"""Seconds between two looks at the registry."""
LOOKED_BACK = timedelta(minutes=2)
"""How long a transaction that revokes may take to be committed and still be seen."""


class TrustFiles:
    """The two files."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory, which nobody else needs to read but Mosquitto."""
        directory.mkdir(parents=True, exist_ok=True)
        self.authorities = directory / "authorities.pem"
        self.revoked = directory / "revoked.pem"
        self._looked = directory / "looked"
        # Mosquitto does not start on an empty file. This one's key is forgotten as soon as it is made.
        nobody = make_authority("nobody")
        self._nobody = Trusted("nobody", nobody.pem, make_crl(nobody, 1, ()))

    def write(self, present: list[Trusted]) -> bool:
        """Make the files say this; whether they said something else."""
        if not present and self._is_nobody():
            return False
        present = present or [self._nobody]
        # The lists first: an authority without one is trusted with nothing, a list without its authority is
        # passed over.
        lists = b"".join(x509.load_der_x509_crl(one.crl).public_bytes(Encoding.PEM) for one in present)
        changed = _replace(self.revoked, lists)
        return _replace(self.authorities, "".join(one.certificate for one in present).encode()) or changed

    @property
    def looked_at(self) -> datetime | None:
        """When the registry was last looked at, by this process or one before; None when it never was."""
        try:
            return datetime.fromtimestamp(self._looked.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def note_look(self, at: datetime) -> None:
        """Keep the time of a look after which all was done."""
        self._looked.touch()
        os.utime(self._looked, (at.timestamp(), at.timestamp()))

    def _is_nobody(self) -> bool:
        try:
            found = x509.load_pem_x509_certificates(self.authorities.read_bytes())
        except (OSError, ValueError):
            return False
        return self.revoked.exists() and [one.subject for one in found] == [
            x509.load_pem_x509_certificate(self._nobody.certificate.encode()).subject
        ]


class Trust:
    """Keeps one broker's files in step with the registry."""

    def __init__(
        self, settings: PlatformSettings, databases: Databases, directory: Path, pid_file: Path
    ) -> None:
        """`pid_file` is Mosquitto's own."""
        self._settings = settings
        self._databases = databases
        self._seal: Fernet = authorities_seal(settings)
        self._files = TrustFiles(directory)
        self._pid_file = pid_file
        # What was revoked while nobody looked still has its session.
        self._since = self._files.looked_at or datetime.now(UTC)
        self._ended: set[int] = set()
        self._closed: set[str] | None = None
        self._to_tell = True

    def look(self) -> list[Holder]:
        """Look at the registry once; the devices whose sessions were ended.

        `BrokerError` when the broker could not be told: nothing is forgotten until it was.
        """
        now = datetime.now(UTC)
        with self._databases.core() as core:
            present = trusted(core, self._seal)
            gone = ended_since(core, self._since - LOOKED_BACK)
            closed = {tenant.slug for tenant in closed_tenants(core)}
            newly = closed - self._closed if self._closed is not None else closed
            holders = {gone[one] for one in gone.keys() - self._ended} | set(holders_in(core, sorted(newly)))
        self._to_tell = self._files.write(present) or self._to_tell
        if self._to_tell and self._reload():
            log.info("the broker trusts the authorities of %d tenants", len(present))
            self._to_tell = False
        if holders:
            end_sessions(self._settings, (certificate_name(*one) for one in holders))
        self._since, self._ended, self._closed = now, set(gone), closed
        self._files.note_look(now)
        return sorted(holders)

    def _reload(self) -> bool:
        """Have Mosquitto read the files again; whether it runs. One that starts reads them anyway."""
        try:
            os.kill(int(self._pid_file.read_text()), signal.SIGHUP)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return False
        return True


def keep(settings: PlatformSettings, directory: Path, pid_file: Path, stopping: threading.Event) -> None:
    """Look every two seconds until `stopping` is set; an outage is one line in the log, and so is its end."""
    databases = Databases(settings.service_urls(), pool_size=1, application_name="insula-broker-trust")
    trust = Trust(settings, databases, directory, pid_file)
    away = False
    try:
        while not stopping.is_set():
            try:
                ended = trust.look()
            except (DBAPIError, BrokerError) as error:
                if not away:
                    log.warning("the broker's trust is not in step with the registry: %s", error)
                away = True
            else:
                if away:
                    log.warning("the broker's trust is in step with the registry again")
                away = False
                for one in ended:
                    log.info("the session of %s/%s is ended", *one)
            stopping.wait(EVERY)
    finally:
        databases.close()


def end_sessions(settings: PlatformSettings, client_ids: Iterable[str]) -> None:
    """Connect under each client id as the control service, which ends the session there is, and leave.

    Raises `BrokerUnreachable` and `BrokerRefused`.
    """
    if settings.broker_admin_password is None:
        raise ConfigurationError(
            "INSULA_BROKER_ADMIN_PASSWORD is not set: no session can be ended without it"
        )
    address, tls = (settings.mqtt_host, settings.mqtt_port), broker_tls(settings)
    password = settings.broker_admin_password.get_secret_value()
    for client_id in client_ids:
        take_over(address, settings.broker_admin_username, password, client_id, tls)


def _replace(path: Path, content: bytes) -> bool:
    """Replace the file in one step unless it says this already; whether it was replaced."""
    if path.exists() and path.read_bytes() == content:
        return False
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.write_bytes(content)
    draft.replace(path)
    return True
