"""tmp"""

import hashlib
import secrets
from typing import NamedTuple


class PasswordHash(NamedTuple):
    hash: bytes
    salt: bytes
    iterations: int


def new_password() -> str:
    return secrets.token_urlsafe(24)


def hash_password(password: str) -> PasswordHash:
    salt = secrets.token_bytes(12)
    return PasswordHash(hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101), salt, 101)
