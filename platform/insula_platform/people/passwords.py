"""Passwords: Argon2id with the parameters argon2-cffi recommends, and a rule for new ones.

The rule is that of NIST SP 800-63B-4, section 3.1.1.2: a length, a list of what others would try first, and
nothing else: no kinds of characters, no end date, no hint.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from insula_tenants.errors import InvalidInput

MIN_LENGTH = 15
"""What NIST asks of a password that may be all there is. Eight would do beside a second factor, but whoever
has one today may take it away tomorrow, and the password would stay."""

MAX_LENGTH = 256

MIN_GUESSES = 10**10
"""So many others would be tried first: "very unguessable" in the words of zxcvbn."""

_JUDGED_LENGTH = 64
"""Characters that are judged: zxcvbn takes quadratic time. What begins like this is guessed like this."""

_hasher = PasswordHasher()
_judging = threading.Lock()


def check_new_password(password: str, about: Iterable[str] = ()) -> None:
    """Whether somebody may choose this password; `InvalidInput`, with what to do, when not.

    `about` are names that others would try: the person's, their address, their tenant's.
    """
    password = _normal(password)
    if len(password) < MIN_LENGTH:
        raise InvalidInput(
            "password", f"use at least {MIN_LENGTH} characters: four words do, in any language"
        )
    if len(password) > MAX_LENGTH:
        raise InvalidInput("password", f"use at most {MAX_LENGTH} characters")
    if _guesses(password, about) < MIN_GUESSES:
        raise InvalidInput(
            "password",
            "others would guess this one: it repeats itself, or is much used, or says who you are. "
            "Four words that have nothing to do with each other are hard to guess",
        )


def hash_password(password: str) -> str:
    """The Argon2id hash to store."""
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


def _guesses(password: str, about: Iterable[str]) -> float:
    """How many passwords someone would try before this one, who knows lists, keyboards, and whose it is."""
    from zxcvbn import zxcvbn  # its lists take a while to read

    known = {"insula"}
    for name in about:
        known |= {name.lower(), *name.lower().replace("@", " ").replace(".", " ").split()}
    with _judging:  # it keeps the known names in a global
        judged = zxcvbn(password[:_JUDGED_LENGTH], user_inputs=sorted(known))
    return float(judged["guesses"])


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody's")


def _normal(password: str) -> str:
    # The same keys give different code points on different systems (é as one or as two).
    return unicodedata.normalize("NFC", password)
