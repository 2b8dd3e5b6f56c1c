"""Where a client may have people sent back to: which addresses can be registered, and which one is meant.

An address is compared as it is written, character by character (RFC 9700, section 2.1). The one exception is
the port of a loopback address of a native app (RFC 8252, section 7.3): the app takes whichever is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from insula_tenants.errors import InvalidInput

MAX_ADDRESSES = 20
MAX_LENGTH = 1000

_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(/.*)?")
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_OWN_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def is_registered(given: str, registered: Iterable[str], *, native: bool) -> bool:
    """Whether `given` is one of the `registered` addresses."""
    if not native:
        return given in registered
    return _without_port(given) in {_without_port(address) for address in registered}


def check_addresses(field: str, addresses: list[str], *, native: bool) -> list[str]:
    """The addresses, each once, if a client may have them.

    Raises `InvalidInput`, naming `field` and the place in the list, for one it may not.
    """
    if len(addresses) > MAX_ADDRESSES:
        raise InvalidInput(field, f"give {MAX_ADDRESSES} at most")
    for place, address in enumerate(addresses):
        if (wrong := next(_faults(address, native=native), None)) is not None:
            raise InvalidInput(f"{field}.{place}", wrong)
    return list(dict.fromkeys(addresses))


def _without_port(address: str) -> tuple[str, ...]:
    loopback = _LOOPBACK.fullmatch(address)
    return (loopback[1], loopback[2] or "") if loopback else (address,)


def _faults(address: str, *, native: bool) -> Iterator[str]:
    """What is wrong with an address, and what would be right."""
    if not 0 < len(address) <= MAX_LENGTH:
        yield f"give an address of 1 to {MAX_LENGTH} characters"
    if not (address.isascii() and address.isprintable()) or set(address) & set(' "<>\\^`{|}'):
        yield "percent-encode what is no plain character of an address: it is compared as it is written"
    if "*" in address:
        yield "give each address in full: there are no wildcards"
    if "#" in address:
        yield "leave out the fragment, from # on: it would never reach the server"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        yield "give an address like https://app.example.com/callback"
        return
    if "@" in parts.netloc:
        yield "leave out user name and password, before the @"
    if {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/")):
        yield "leave out . and .. from the path: browsers resolve them"
    if port == 0:
        yield "0 is no port"
    yield from _faults_of_scheme(address, parts.scheme, parts.hostname or "", native=native)


def _faults_of_scheme(address: str, scheme: str, host: str, *, native: bool) -> Iterator[str]:
    if scheme == "https":
        if not _is_host(host):
            yield "name a host, as in https://app.example.com/callback"
    elif not native:
        yield "use https; only a native app may have http on a loopback address, or a scheme of its own"
    elif scheme == "http":
        if not _LOOPBACK.fullmatch(address):
            yield "use http://127.0.0.1/… or http://[::1]/… as loopback address, else https"
    # RFC 8252, section 7.1: a domain name that somebody owns. It rules out javascript: and its like.
    elif not _OWN_SCHEME.fullmatch(scheme):
        yield "use https, loopback http, or a domain name reversed as scheme: com.example.app:/callback"
    elif not address.startswith(f"{scheme}:"):
        yield "write the scheme in lower case"


def _is_host(host: str) -> bool:
    if _HOST.fullmatch(host):
        return True
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
