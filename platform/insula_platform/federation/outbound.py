"""Requests to identity providers: tenants name the addresses, so none may lead inside (SSRF).

Only https, no redirect, a bounded answer in a bounded time. A host's addresses are looked up once, checked,
and the connection goes to the checked one: a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpx

from insula_platform.settings import PlatformSettings, is_loopback
from insula_tenants.errors import InsulaError

MAX_BYTES = 512 * 1024
"""Of an answer; the largest real key sets have some ten thousand."""

SECONDS = 5.0
"""For one step of a request; the whole may take twice that."""

_AT_ONCE = 8
_PATIENCE = 0.5
_NAT64 = IPv6Network("64:ff9b::/96")


class ProviderUnreachable(InsulaError):
    """The identity provider cannot be asked."""

    status = 502
    type = "provider-unreachable"


class Outbound:
    """The HTTP client towards identity providers; thread-safe."""

    def __init__(self, settings: PlatformSettings) -> None:
        """Nothing is connected yet."""
        self._loopback = is_loopback(httpx.URL(settings.public_url).host)
        self._private = settings.sso_private_networks
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._http = httpx.Client(
            transport=_Pinned(self), timeout=SECONDS, follow_redirects=False, trust_env=False
        )

    def close(self) -> None:
        """End what is open."""
        self._http.close()

    def check(self, url: str) -> None:
        """`ProviderUnreachable` for an address that is not even asked."""
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL:
            raise ProviderUnreachable(f"{url[:200]!r} is no URL") from None
        may_be_plain = self._loopback and is_loopback(parts.host)
        if parts.scheme != "https" and not (parts.scheme == "http" and may_be_plain):
            raise ProviderUnreachable(f"{url[:200]} is not https")
        if not parts.host or parts.userinfo or parts.fragment:
            raise ProviderUnreachable(f"{url[:200]} must name a host, without a user and a fragment")

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at `url`; `ProviderUnreachable` with the reason when there is none."""
        status, answer = self._ask("GET", url, headers=headers)
        if status != 200:
            raise ProviderUnreachable(f"{url} answered {status}")
        return answer

    def post(
        self, url: str, form: Mapping[str, str], auth: tuple[str, str] | None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object that a form is answered with; `ProviderUnreachable` when there is none."""
        return self._ask("POST", url, data=form, auth=auth)

    def address_of(self, host: str, port: int) -> str:
        """An address of the host that may be spoken to; `ProviderUnreachable` when one of them may not."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise ProviderUnreachable(f"the name {host} is not known") from None
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._may_speak_to(address):
                raise ProviderUnreachable(f"{host} is at a private address, which this platform does not ask")
        return addresses[0]

    def _may_speak_to(self, address: str) -> bool:
        spoken = _embedded(ip_address(address.partition("%")[0]))
        if spoken.is_loopback:
            return self._loopback
        if spoken.is_link_local or spoken.is_multicast or spoken.is_unspecified or spoken.is_reserved:
            return False  # where clouds keep their machines' credentials, among others
        return spoken.is_global or (self._private and spoken.is_private)

    def _ask(self, method: str, url: str, **request: Any) -> tuple[int, dict[str, Any]]:
        self.check(url)
        # Each request holds a thread of the server: providers that dawdle must not take all of them.
        if not self._places.acquire(timeout=_PATIENCE):
            raise ProviderUnreachable("too many sign-ins wait for their providers: try again")
        try:
            deadline = time.monotonic() + 2 * SECONDS
            fields = _headers(request.pop("headers", None))
            with self._http.stream(method, url, headers=fields, **request) as answer:
                return answer.status_code, _object(url, answer, deadline)
        except httpx.HTTPError as error:
            raise ProviderUnreachable(f"{url} does not answer: {type(error).__name__}") from None
        finally:
            self._places.release()


class _Pinned(httpx.BaseTransport):
    """Connects to the address that was checked, while TLS and `Host` go on naming the host."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        # A connection belongs to one host's certificate, and the pool knows addresses: none is used twice.
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or {"https": 443, "http": 80}[request.url.scheme]
        address = self._outbound.address_of(host, port)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def _headers(more: Mapping[str, str] | None) -> dict[str, str]:
    # Plain: a limit on what arrives says nothing of what it unpacks to.
    return {"Accept": "application/json", "Accept-Encoding": "identity", **(more or {})}


def _object(url: str, answer: httpx.Response, deadline: float) -> dict[str, Any]:
    if answer.is_redirect:
        raise ProviderUnreachable(f"{url} redirects: give the address that it leads to")
    body = bytearray()
    for piece in answer.iter_raw():
        body += piece
        if len(body) > MAX_BYTES:
            raise ProviderUnreachable(f"the answer of {url} is too long")
        if time.monotonic() > deadline:
            raise ProviderUnreachable(f"the answer of {url} takes too long")
    try:
        said = httpx.Response(200, content=bytes(body)).json()
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ProviderUnreachable(f"{url} answered {answer.status_code} without a JSON object")
    return said


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
