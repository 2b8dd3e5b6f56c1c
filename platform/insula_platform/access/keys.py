"""The form of API keys: told from access tokens by how they begin."""

from __future__ import annotations

import re
import secrets

PREFIX = "isk_"
"""Insula secret key: what scanners for leaked secrets look for."""

_FORM = re.compile(r"isk_[A-Za-z0-9_-]{43}")

HINT = len(PREFIX) + 4
"""Characters of a key that are kept, so that people know it again."""


def new_key() -> str:
    """A key with 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def is_key(credential: str) -> bool:
    """Whether this has the form of a key; an access token never has."""
    return _FORM.fullmatch(credential) is not None
