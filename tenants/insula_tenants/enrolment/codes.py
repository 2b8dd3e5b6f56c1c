"""Claim codes as people read them: 16 characters in four groups, the last one a check.

The alphabet is Crockford's Base32 (https://www.crockford.com/base32.html) less its Z, so that it has a prime
number of characters: who types I, L, O or Z for 1, 0 or 2 is understood. 15 characters are 74 random bits.
The check is their sum, each weighted by its place, modulo 31: one wrong character, and two that changed
places, are told from a code that is not good.
"""

from __future__ import annotations

import secrets

from insula_tenants.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXY"
LENGTH = 16
_GROUP = 4
_LOOKS_LIKE = str.maketrans("ILOZ", "1102", "- ")


def new_code() -> str:
    """A code to print on a box, such as `7K3M-Q9TX-22B8-PW4D`."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
    code = body + _check(body)
    return "-".join(code[start : start + _GROUP] for start in range(0, LENGTH, _GROUP))


def read_code(typed: str) -> str:
    """The code's 16 characters, however it was typed; `InvalidInput` when it was mistyped."""
    code = typed.upper().translate(_LOOKS_LIKE)
    if len(code) != LENGTH or not set(code) <= set(ALPHABET):
        raise InvalidInput("code", f"a claim code has {LENGTH} letters and digits: compare it with the print")
    if _check(code[:-1]) != code[-1]:
        raise InvalidInput("code", "the code was mistyped: compare it with the print")
    return code


def _check(body: str) -> str:
    weighed = sum(place * ALPHABET.index(character) for place, character in enumerate(body, 1))
    return ALPHABET[weighed % len(ALPHABET)]
