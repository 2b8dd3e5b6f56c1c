"""A device's own certificate, in files: shown to the broker in place of a password, and renewed in time.

Renewal needs the package `cryptography`; the rest needs nothing besides the standard library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from insula_ingest.device.errors import DeviceError

log = logging.getLogger(__name__)

LOOK_EVERY = 3600.0
"""Seconds between two looks at how long the certificate is good."""
RENEWED_WITH = 1 / 3
"""Part of a certificate's life that is left when it is renewed."""
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Certificate:
    """Where the device's certificate is, and the authorities that it trusts, in PEM."""

    identity: Path
    """The certificate and its key in one file, so that both are replaced in one step."""
    authority: Path | None = None
    """None for the system's."""

    def context(self) -> ssl.SSLContext:
        """To connect with what is in the files at this moment."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.identity)
        return context

    def is_due(self) -> bool:
        """Whether it is time to renew it."""
        from cryptography import x509

        found = x509.load_pem_x509_certificate(self.identity.read_bytes())
        life = found.not_valid_after_utc - found.not_valid_before_utc
        return found.not_valid_after_utc - datetime.now(UTC) < life * RENEWED_WITH

    def renew(self, url: str) -> None:
        """Ask the renewal server at `url`, such as `https://insula.example.com:8443`, for a new certificate.

        The connection shows the present one, which must not have expired. The new one has a new key; the file
        is replaced in one step. `DeviceError` says why it could not be: then it is as it was.
        """
        key, csr = _new_request()
        body = json.dumps({"csr": csr}).encode()
        request = urllib.request.Request(  # noqa: S310 - checked in the next line
            f"{url.rstrip('/')}/renew", body, {"Content-Type": "application/json"}
        )
        if request.type != "https":
            msg = f"{url} is no https URL: a certificate is renewed over TLS alone"
            raise DeviceError(msg)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self.context()) as answer:  # noqa: S310
                certificate = str(json.load(answer)["certificate"])
        except urllib.error.HTTPError as error:
            msg = f"{url} renews no certificate: {error.code} {_detail(error)}"
            raise DeviceError(msg) from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            msg = f"{url} renews no certificate: {error}"
            raise DeviceError(msg) from error
        _replace(self.identity, certificate.encode() + key)


class Renewal:
    """Looks after a certificate in a thread of its own, as long as the device is open."""

    def __init__(
        self, certificate: Certificate, url: str, context: ssl.SSLContext, told: Callable[[DeviceError], None]
    ) -> None:
        """`context` gets each new certificate, for the next connection; `told` hears why there is none."""
        self._certificate = certificate
        self._url = url
        self._context = context
        self._told = told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="certificate", daemon=True)

    def start(self) -> None:
        """Look at once, and every `LOOK_EVERY` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a renewal that is under way is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        while True:
            try:
                if self._certificate.is_due():
                    self._certificate.renew(self._url)
                    self._context.load_cert_chain(self._certificate.identity)
                    log.info("the device's certificate is renewed")
            except (DeviceError, OSError, ValueError) as error:
                log.error("the device's certificate is not renewed: %s", error)  # noqa: TRY400 - one line
                self._told(error if isinstance(error, DeviceError) else DeviceError(str(error)))
            if self._stopping.wait(LOOK_EVERY):
                return


def _new_request() -> tuple[bytes, str]:
    """A key, and a request that it signs. The platform knows whose it is by the connection."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return written, csr.public_bytes(serialization.Encoding.PEM).decode()


def _detail(error: urllib.error.HTTPError) -> str:
    with contextlib.suppress(ValueError, LookupError, TypeError, OSError):
        return str(json.load(error)["detail"])
    return str(error.reason)


def _replace(path: Path, content: bytes) -> None:
    """Replace the file in one step; nobody but its owner may read it."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
