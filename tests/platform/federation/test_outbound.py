"""Requests to providers lead nowhere inside, and end in time."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest

from insula_platform.federation.outbound import _AT_ONE_HOST, Outbound, ProviderUnreachable
from insula_platform.settings import PlatformSettings
from tests.platform.federation.conftest import Admin
from tests.platform.federation.rogue import Lies, RogueProvider

PUBLIC = PlatformSettings(secret_key="k" * 32, public_url="https://insula.example.com")
PRIVATE = PUBLIC.model_copy(update={"sso_private_networks": True})
LOCAL = PUBLIC.model_copy(update={"public_url": "http://127.0.0.1:8000"})

INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a00:1::",
]  # fmt: skip


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_not_asked(monkeypatch: pytest.MonkeyPatch, address: str):
    resolving(monkeypatch, address)
    with pytest.raises(ProviderUnreachable, match="private address"):
        Outbound(PUBLIC).get("https://login.acme.example/x")
    resolving(monkeypatch, "192.0.43.8", address)  # one of several is enough
    with pytest.raises(ProviderUnreachable, match="private address"):
        Outbound(PUBLIC).get("https://login.acme.example/x")


def test_public_addresses_are_asked_and_private_ones_by_a_setting(monkeypatch: pytest.MonkeyPatch):
    for settings, address in (
        (PUBLIC, "8.8.8.8"),
        (PRIVATE, "10.0.0.1"),
        (PRIVATE, "fc00::1"),
        (LOCAL, "::1"),
    ):
        resolving(monkeypatch, address)
        assert Outbound(settings).address_of("login.acme.example", 443) == address
    for address in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1"):
        resolving(monkeypatch, address)
        with pytest.raises(ProviderUnreachable):
            Outbound(PRIVATE).address_of("login.acme.example", 443)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (PUBLIC, "http://login.acme.example/"),
        (PUBLIC, "http://127.0.0.1/"),
        (LOCAL, "http://login.acme.example/"),
        (LOCAL, "file:///etc/passwd"),
        (PUBLIC, "https://user@login.acme.example/"),
        (PUBLIC, "https://login.acme.example/#x"),
        (PUBLIC, "https:///x"),
        (PUBLIC, "gopher://x/"),
    ],
)
def test_an_address_of_another_kind_is_refused_before_anything_is_asked(settings: PlatformSettings, url: str):
    with pytest.raises(ProviderUnreachable):
        Outbound(settings).check(url)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch):
    """A name that says something else the second time (DNS rebinding) gains nothing."""
    provider = RogueProvider()
    try:
        port = int(provider.issuer.rpartition(":")[2])
        hosts: list[str] = []
        provider.lies.before = lambda handler: hosts.append(handler.headers["Host"]) is not None
        asked = []

        def resolve(host, *_args, **_named):
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *a, **n: resolve(host) if host == "localhost" else real(host, *a, **n),
        )
        assert Outbound(LOCAL).get(f"http://localhost:{port}/jwks")["keys"]
        assert asked == ["localhost"]
        assert hosts == [f"localhost:{port}"]
    finally:
        provider.stop()


def _redirect(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_response(302)
    handler.send_header("Location", "http://169.254.169.254/latest")
    handler.end_headers()
    return True


def _endless(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(2000):
            handler.wfile.write(b" " * 1024)
    except OSError:
        pass
    return True


def _html(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "6")
    handler.end_headers()
    handler.wfile.write(b"<html>")
    return True


def _dripping(handler: BaseHTTPRequestHandler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    pause = threading.Event()
    try:
        while not pause.wait(0.02):
            handler.wfile.write(b" ")
    except OSError:
        pass
    return True


def _dripping_headers(handler: BaseHTTPRequestHandler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    pause = threading.Event()
    try:
        for _ in range(1000):
            if pause.wait(0.02):
                break
            handler.wfile.write(b"x")
    except OSError:
        pass
    return True


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_redirect, "redirects"),
        (_endless, "too long"),
        (_html, "JSON object"),
        (_dripping, "takes too long"),
        (_dripping_headers, "takes too long"),
    ],
)
def test_answers_that_are_none(admin: Admin, rogue: RogueProvider, answer, words: str, monkeypatch):
    monkeypatch.setattr("insula_platform.federation.outbound.SECONDS", 0.2)
    rogue.lies = Lies(before=answer)
    test = admin.call("POST", "/sso/test").json()
    assert words in next(look["detail"] for look in test["looks"] if not look["ok"])


def test_a_provider_that_dawdles_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("insula_platform.federation.outbound._PATIENCE", 0.01)
    outbound, slow, quick = Outbound(LOCAL), RogueProvider(), RogueProvider()
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def dawdle(handler: BaseHTTPRequestHandler) -> bool:
        busy.release()
        return not go_on.wait(30)

    slow.lies.before = dawdle
    here = slow.issuer.replace("127.0.0.1", "localhost")  # places are by host
    try:
        with ThreadPoolExecutor(_AT_ONE_HOST) as pool:
            waiting = [pool.submit(outbound.get, f"{here}/jwks") for _ in range(_AT_ONE_HOST)]
            for _ in waiting:
                assert busy.acquire(timeout=30)
            with pytest.raises(ProviderUnreachable, match="too many"):
                outbound.get(f"{here}/jwks")
            assert outbound.get(f"{quick.issuer}/jwks")["keys"]
            go_on.set()
            assert all(each.result()["keys"] for each in waiting)
        assert outbound.get(f"{here}/jwks")["keys"]
    finally:
        go_on.set()
        slow.stop()
        quick.stop()


@pytest.mark.parametrize(
    "name", ["token_endpoint", "jwks_uri", "userinfo_endpoint", "authorization_endpoint"]
)
def test_every_address_in_the_discovery_document_is_checked(admin: Admin, rogue: RogueProvider, name: str):
    for inside in ("http://169.254.169.254/latest", "ftp://x", "javascript:alert(1)", 7):
        rogue.lies.discovery = {name: inside}
        test = admin.call("POST", "/sso/test").json()
        assert name in next(look["detail"] for look in test["looks"] if not look["ok"])
