"""The keys that sign tokens: RSA, kept in the database sealed under INSULA_SECRET_KEY.

A new key is published before it signs, and an old one is believed until its last token is gone: so a change
of keys (`insula_platform.oauth.rotation`) never invalidates tokens in flight, whoever verifies them.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import UTC, datetime
from typing import NamedTuple

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

JWKS_MAX_AGE = 300
"""Seconds for which whoever verifies tokens may keep the published keys."""

_LOCK = 0x1A500A
_RELOAD_AFTER = 60.0
_BELIEVED_FOR = 120.0
_RELOAD_AT_MOST_EVERY = 5.0


def derive_key(secret_key: SecretStr, purpose: str) -> bytes:
    """32 bytes for one purpose alone, by HKDF-SHA256 from the platform's secret key."""
    material = secret_key.get_secret_value().encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"insula {purpose}".encode()).derive(material)


def lock_keys(core: Session) -> None:
    """Let nobody else make or take away keys until the transaction ends."""
    core.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def make_key(core: Session, secret_key: SecretStr, signs_from: datetime) -> RSAKey:
    """A new key, published at once; it signs from `signs_from` on."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    core.add(
        SigningKey(
            kid=key.kid,
            algorithm=ALGORITHM,
            public_jwk=key.as_dict(private=False),
            private_jwk_sealed=_seal(secret_key).encrypt(json.dumps(key.as_dict(private=True)).encode()),
            signs_from=signs_from,
        )
    )
    return key


class _Key(NamedTuple):
    signs_from: datetime
    key: RSAKey


class SigningKeys:
    """The keys, read from the database at first use and again when a minute has passed."""

    def __init__(self, databases: Databases, secret_key: SecretStr) -> None:
        """Nothing is read yet: the platform starts while the database is still away."""
        self._databases = databases
        self._secret_key = secret_key
        self._lock = threading.Lock()
        self._keys: list[_Key] = []
        self._read_at = float("-inf")

    def signing_key(self) -> RSAKey:
        """The newest key whose time has come, private part included. Makes the first one.

        One key, never the set: joserfc would sign with any of a set.
        """
        keys = self._fresh(_RELOAD_AFTER)
        now = datetime.now(UTC)
        # The oldest when none has begun: it was made by a machine whose clock is ahead.
        return next((each.key for each in keys if each.signs_from <= now), keys[-1].key)

    def public(self) -> KeySet:
        """All keys, newest first, for verification and publication."""
        return KeySet([each.key for each in self._fresh(_RELOAD_AFTER)])

    def known(self, kid: str) -> RSAKey | None:
        """The key of this id if it was read not long ago; never touches the database.

        What runs inside a session must use this one: asking for another connection while holding one could
        wait for ever when the pool is exhausted.
        """
        if time.monotonic() - self._read_at > _BELIEVED_FOR:
            return None  # a key that was withdrawn must not be believed for ever
        return next((each.key for each in self._keys if each.key.kid == kid), None)

    def find(self, kid: str) -> RSAKey | None:
        """The key of this id; reads the database again when it is unknown, but not for every forgery."""
        self._fresh(_RELOAD_AFTER)
        if self.known(kid) is None:
            self._fresh(_RELOAD_AT_MOST_EVERY)
        return self.known(kid)

    def _fresh(self, max_age: float) -> list[_Key]:
        with self._lock:
            if time.monotonic() - self._read_at > max_age:
                with self._databases.core() as core:
                    self._keys = self._read(core) or self._make_first(core)
                self._read_at = time.monotonic()
            return self._keys

    def _read(self, core: Session) -> list[_Key]:
        seal = _seal(self._secret_key)
        rows = core.scalars(select(SigningKey).order_by(SigningKey.signs_from.desc(), SigningKey.kid))
        return [_Key(row.signs_from, _open(seal, row)) for row in rows]

    def _make_first(self, core: Session) -> list[_Key]:
        lock_keys(core)  # two processes that start on an empty database must not both make it
        now = datetime.now(UTC)
        return self._read(core) or [_Key(now, make_key(core, self._secret_key, now))]


def _seal(secret_key: SecretStr) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "signing keys")))


def _open(seal: Fernet, row: SigningKey) -> RSAKey:
    try:
        private = json.loads(seal.decrypt(row.private_jwk_sealed))
    except InvalidToken:
        raise ConfigurationError(
            "the signing keys were sealed under another INSULA_SECRET_KEY: set the one of that time"
        ) from None
    return RSAKey.import_key(private)
