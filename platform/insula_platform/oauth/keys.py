"""The keys that sign tokens: RSA, kept in the database sealed under INSULA_SECRET_KEY.

The newest key signs; all of them verify, so that a new key never invalidates tokens in flight.
"""

from __future__ import annotations

import base64
import json
import threading
import time

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from insula_platform.oauth.models import SigningKey
from insula_tenants.database import Databases
from insula_tenants.errors import ConfigurationError

ALGORITHM = "RS256"

_LOCK = 0x1A500A  # two processes that start on an empty database must not both make the first key
_RELOAD_AFTER = 60.0
_BELIEVED_FOR = 120.0
_RELOAD_AT_MOST_EVERY = 5.0


def derive_key(secret_key: SecretStr, purpose: str) -> bytes:
    """32 bytes for one purpose alone, by HKDF-SHA256 from the platform's secret key."""
    material = secret_key.get_secret_value().encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"insula {purpose}".encode()).derive(material)


class SigningKeys:
    """The signing keys, read from the database at first use and again when a minute has passed."""

    def __init__(self, databases: Databases, secret_key: SecretStr) -> None:
        """Nothing is read yet: the platform starts while the database is still away."""
        self._databases = databases
        self._seal = Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "signing keys")))
        self._lock = threading.Lock()
        self._keys: list[RSAKey] = []
        self._read_at = float("-inf")

    def signing_key(self) -> RSAKey:
        """The newest key, private part included. Makes the first one."""
        return self._fresh(_RELOAD_AFTER)[0]

    def public(self) -> KeySet:
        """All keys, newest first, for verification and publication."""
        return KeySet(list(self._fresh(_RELOAD_AFTER)))

    def known(self, kid: str) -> RSAKey | None:
        """The key of this id if it was read not long ago; never touches the database.

        What runs inside a session must use this one: asking for another connection while holding one could
        wait for ever when the pool is exhausted.
        """
        if time.monotonic() - self._read_at > _BELIEVED_FOR:
            return None  # a key that was withdrawn must not be believed for ever
        return next((key for key in self._keys if key.kid == kid), None)

    def find(self, kid: str) -> RSAKey | None:
        """The key of this id; reads the database again when it is unknown, but not for every forgery."""
        self._fresh(_RELOAD_AFTER)
        if self.known(kid) is None:
            self._fresh(_RELOAD_AT_MOST_EVERY)
        return self.known(kid)

    def _fresh(self, max_age: float) -> list[RSAKey]:
        with self._lock:
            if time.monotonic() - self._read_at > max_age:
                with self._databases.core() as core:
                    self._keys = self._read(core) or [self._make(core)]
                self._read_at = time.monotonic()
            return self._keys

    def _read(self, core: Session) -> list[RSAKey]:
        rows = core.scalars(select(SigningKey).order_by(SigningKey.created_at.desc(), SigningKey.kid))
        return [self._open(row) for row in rows]

    def _open(self, row: SigningKey) -> RSAKey:
        try:
            private = json.loads(self._seal.decrypt(row.private_jwk_sealed))
        except InvalidToken:
            raise ConfigurationError(
                "the signing keys were sealed under another INSULA_SECRET_KEY: set the one of that time"
            ) from None
        return RSAKey.import_key(private)

    def _make(self, core: Session) -> RSAKey:
        core.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if made_meanwhile := self._read(core):
            return made_meanwhile[0]
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
        core.add(
            SigningKey(
                kid=key.kid,
                algorithm=ALGORITHM,
                public_jwk=key.as_dict(private=False),
                private_jwk_sealed=self._seal.encrypt(json.dumps(key.as_dict(private=True)).encode()),
            )
        )
        return key
