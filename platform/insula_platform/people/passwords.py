"""Passwords: Argon2id with the parameters argon2-cffi recommends, and a rule for new ones."""

from __future__ import annotations

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from insula_tenants.errors import InvalidInput

MIN_LENGTH = 10
MAX_LENGTH = 256

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The Argon2id hash to store; `InvalidInput` for a password too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput("password", f"use {MIN_LENGTH} to {MAX_LENGTH} characters")
    return _hasher.hash(_normal(password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is right. Takes the same time when there is no hash to compare with."""
    if len(password) > MAX_LENGTH:
        password = ""  # never the password of anyone, and hashing a megabyte would be a gift to attackers
    try:
        _hasher.verify(password_hash or _nobodys_hash(), _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody's")


def _normal(password: str) -> str:
    # The same keys give different code points on different systems (é as one or as two).
    return unicodedata.normalize("NFC", password)
