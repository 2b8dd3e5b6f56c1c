"""Passwords of devices: made here, kept only as hashes, in the form that Mosquitto's own file uses."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

PASSWORD_BYTES = 24
SALT_BYTES = 12
"""Mosquitto 2.0 skips a login whose salt has any other length."""
ITERATIONS = 101
"""Stretching protects passwords that people choose. Ours have 192 random bits, which no number of guesses
reaches, and the broker computes the hash inside its only thread each time a device connects."""


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """What is kept of a password: PBKDF2-HMAC-SHA512 (RFC 8018, section 5.2)."""

    hash: bytes
    """64 bytes."""
    salt: bytes
    iterations: int


def new_password() -> str:
    """A random password of 192 bits in 32 characters that need no quoting in a URL, a shell or a topic."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def hash_password(password: str) -> PasswordHash:
    """The hash of `password` under a new random salt of 12 bytes."""
    salt = secrets.token_bytes(SALT_BYTES)
    return PasswordHash(_derive(password, salt, ITERATIONS), salt, ITERATIONS)


def verify_password(password: str, kept: PasswordHash) -> bool:
    """Whether `password` is the one that `kept` was made of; takes the same time either way."""
    return hmac.compare_digest(_derive(password, kept.salt, kept.iterations), kept.hash)


def _derive(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode("utf-8"), salt, iterations)
