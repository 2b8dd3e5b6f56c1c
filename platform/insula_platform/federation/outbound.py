"""Requests to identity providers: tenants name the addresses, so none may lead inside (SSRF).

Only https, no redirect, a bounded answer in a bounded time, however slowly it drips. A host's addresses are
looked up once, checked, and the connection goes to the checked one: a name that changes its mind in between
gains nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from insula_platform.settings import PlatformSettings, is_loopback
from insula_tenants.errors import InsulaError

MAX_BYTES = 512 * 1024
"""Of an answer; the largest real key sets have some ten thousand."""

SECONDS = 5.0
"""For one step of a request; the whole may take twice that."""

_AT_ONCE = 8
_AT_ONE_HOST = 4
"""Requests under way: one provider that dawdles must leave room for the others."""
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
        self._busy: Counter[str] = Counter()
        self._freed = threading.Condition()
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
        with self._place(httpx.URL(url).host):
            deadline = time.monotonic() + 2 * SECONDS
            try:
                fields = _headers(request.pop("headers", None))
                with self._http.stream(method, url, headers=fields, **request) as answer:
                    return answer.status_code, _object(url, answer, deadline)
            except httpx.HTTPError as error:
                if isinstance(error, httpx.TimeoutException) and time.monotonic() > deadline:
                    raise ProviderUnreachable(f"the answer of {url} takes too long") from None
                raise ProviderUnreachable(f"{url} does not answer: {type(error).__name__}") from None

    @contextmanager
    def _place(self, host: str) -> Iterator[None]:
        # Each request holds a thread of the server: providers that dawdle must not take all of them.
        def is_free() -> bool:
            return self._busy.total() < _AT_ONCE and self._busy[host] < _AT_ONE_HOST

        with self._freed:
            if not self._freed.wait_for(is_free, _PATIENCE):
                raise ProviderUnreachable("too many sign-ins wait for their providers: try again")
            self._busy[host] += 1
        try:
            yield
        finally:
            with self._freed:
                self._busy -= Counter({host: 1})  # which also forgets a host that has none left
                self._freed.notify_all()


class _Pinned(httpx.BaseTransport):
    """Connects to the address that was checked, while TLS and `Host` go on naming the host."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        # A connection belongs to one host's certificate, and the pool knows addresses: none is used twice.
        self._inner = httpx.HTTPTransport(trust_env=False)
        # httpx has no way to name what the connections are made by.
        self._inner._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_keepalive_connections=0,
            network_backend=_Bounded(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or {"https": 443, "http": 80}[request.url.scheme]
        address = self._outbound.address_of(host, port)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class _Bounded(httpcore.NetworkBackend):
    """Connections that last for one request: a time for each read would be no end of them all."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        deadline = time.monotonic() + 2 * SECONDS
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _BoundedStream(stream, deadline)


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None, over: type[httpcore.TimeoutException]) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise over("the answer takes too long")
        return left if timeout is None else min(left, timeout)


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
