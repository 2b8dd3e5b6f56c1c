"""A client's public keys, by which its signature is checked: a JWK Set that is given and never fetched."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from insula_tenants.errors import InvalidInput

MAX_KEYS = 10
MAX_ID_LENGTH = 200
RSA_BITS = (2048, 4096)
"""Fewer can be broken; more would make each check a gift to whoever sends many."""

ALGORITHMS = {
    "RS256": "RSA",
    "PS256": "RSA",
    "ES256": "EC",
    "Ed25519": "OKP",
    "EdDSA": "OKP",
}
"""What a client may sign with, and the type of key it needs. `EdDSA` is the older name of `Ed25519`."""

_MEMBERS = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PublicKey = RSAKey | ECKey | OKPKey

_KINDS: dict[str, type[PublicKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


class SignatureAlgorithms(JWSRegistry):
    """The algorithms of `ALGORITHMS`, and no other."""

    def __init__(self) -> None:
        """Nothing to choose."""
        super().__init__(algorithms=list(ALGORITHMS))

    def get_alg(self, name: str) -> Any:
        """On the one curve that is taken, two names are one algorithm, and one is deprecated (RFC 9864)."""
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


def check_jwks(field: str, given: dict[str, Any]) -> dict[str, Any]:
    """The JWK Set as it is to be stored: what verifies a signature, and nothing else.

    Raises `InvalidInput`, naming `field`, for anything but public keys that can be told apart.
    """
    keys = given.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise InvalidInput(field, f'give a JWK Set: {{"keys": […]}} with 1 to {MAX_KEYS} public keys')
    stored = [_checked(f"{field}.keys.{place}", key) for place, key in enumerate(keys)]
    if len({key["kid"] for key in stored}) < len(stored):
        raise InvalidInput(field, "give each key a kid of its own: a signature names its key by it")
    return {"keys": stored}


def keys_for(jwks: dict[str, Any] | None, header: dict[str, Any]) -> Iterator[PublicKey]:
    """The keys that may have made a signature with this header: at most one, unless it names none."""
    key_type = ALGORITHMS.get(header.get("alg", ""))
    kid = header.get("kid")
    for key in (jwks or {}).get("keys", ()):
        if key["kty"] == key_type and kid in {None, key["kid"]}:
            yield _import(key)


def _checked(field: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("kty") not in _MEMBERS:
        raise InvalidInput(field, f"give a JWK whose kty is one of {', '.join(_MEMBERS)}")
    if _PRIVATE & given.keys():
        raise InvalidInput(
            field, "this is a private key: keep it, make another pair, and send the public part"
        )
    kid = given.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_ID_LENGTH or not kid.isprintable():
        raise InvalidInput(f"{field}.kid", f"give the key an id of 1 to {MAX_ID_LENGTH} characters")
    if given.get("use", "sig") != "sig":
        raise InvalidInput(f"{field}.use", "a key that signs has the use sig, or none")
    kty = given["kty"]
    key = {"kty": kty, "kid": kid, "use": "sig"} | {name: given.get(name) for name in _MEMBERS[kty]}
    if "alg" in given:
        if ALGORITHMS.get(given["alg"] if isinstance(given["alg"], str) else "") != kty:
            possible = ", ".join(name for name, needed in ALGORITHMS.items() if needed == kty)
            raise InvalidInput(f"{field}.alg", f"use one of {possible}, or leave it out")
        key["alg"] = "Ed25519" if kty == "OKP" else given["alg"]
    _check_strength(field, key)
    return key


def _check_strength(field: str, key: dict[str, Any]) -> None:
    curve = {"EC": "P-256", "OKP": "Ed25519"}.get(key["kty"])
    if curve is not None and key["crv"] != curve:
        raise InvalidInput(f"{field}.crv", f"use the curve {curve}")
    if key["kty"] == "RSA" and key["e"] != "AQAB":
        raise InvalidInput(f"{field}.e", "use the exponent 65537 (AQAB)")
    if key["kty"] == "RSA" and not RSA_BITS[0] <= _bits(key["n"]) <= RSA_BITS[1]:
        raise InvalidInput(f"{field}.n", f"use an RSA key of {RSA_BITS[0]} to {RSA_BITS[1]} bits")
    try:
        _import(key).get_op_key("verify")
    except (JoseError, ValueError, TypeError):
        raise InvalidInput(field, f"this is no {key['kty']} key as RFC 7518 writes them") from None


def _bits(modulus: Any) -> int:
    """How long it is; 0 when it is no number. Looked at before a library takes it for a key."""
    if not isinstance(modulus, str) or not modulus.isascii():
        return 0
    try:
        return int.from_bytes(urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)), "big").bit_length()
    except ValueError:
        return 0


def _import(key: dict[str, Any]) -> PublicKey:
    return _KINDS[key["kty"]].import_key(key)
