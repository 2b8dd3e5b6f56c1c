"""Which addresses a client may have people come back to, and which one is meant by a request."""

from __future__ import annotations

import pytest

from insula_platform.oauth.redirects import check_addresses, is_registered
from insula_tenants.errors import InvalidInput

HTTPS = (
    "https://app.example.com/callback",
    "https://app.example.com",
    "https://app.example.com:8443/callback?tenant=acme",
    "https://192.0.2.7/callback",
    "https://[2001:db8::7]/callback",
)
OWN_MACHINE = (
    "http://127.0.0.1/callback",
    "http://127.0.0.1:8400/callback",
    "http://[::1]/callback",
    "com.example.app:/callback",
    "com.example.app://callback",
)


def test_https_is_for_all_and_the_own_machine_for_native_apps():
    assert check_addresses("redirect_uris", [*HTTPS, *HTTPS], native=False) == list(HTTPS)
    assert check_addresses("redirect_uris", [*HTTPS, *OWN_MACHINE], native=True) == [*HTTPS, *OWN_MACHINE]
    for address in OWN_MACHINE:
        with pytest.raises(InvalidInput, match="only a native app"):
            check_addresses("redirect_uris", [address], native=False)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("", "1 to 1000 characters"),
        (f"https://a.example/{'a' * 1000}", "1 to 1000 characters"),
        ("https://*.example.com/", "no wildcards"),
        ("https://a.example/*", "no wildcards"),
        ("https://a.example/#", "fragment"),
        ("https://a.example/#top", "fragment"),
        ("https://ada@a.example/", "user name and password"),
        ("https://a.example@evil.example/", "user name and password"),
        ("https://ada:word@a.example/", "user name and password"),
        ("https://a.example/a/../b", r"leave out \. and"),
        ("https://a.example/%2e%2E/b", r"leave out \. and"),
        ("https://a.example/ b", "percent-encode"),
        ("https://a.example\\@evil.example/", "percent-encode"),
        ("https://a.example/\n", "percent-encode"),
        ("https://\u0430.example/", "percent-encode"),
        ('https://a.example/"><script>', "percent-encode"),
        ("https://", "name a host"),
        ("https:///callback", "name a host"),
        ("https:callback", "name a host"),
        ("https://-a.example/", "name a host"),
        ("https://a..example/", "name a host"),
        ("https://a.example:99999/", "an address like"),
        ("https://a.example:0/", "no port"),
        ("https://[::1/", "an address like"),
        ("//a.example/", "use https"),
        ("/callback", "use https"),
        ("javascript:alert(1)", "use https"),
        ("data:text/html,x", "use https"),
        ("http://a.example/", "use https|else https"),
        ("http://localhost/", "use https|else https"),
        ("http://127.0.0.1.evil.example/", "use https|else https"),
        ("http://127.1/", "use https|else https"),
        ("http://2130706433/", "use https|else https"),
        ("http://[::ffff:127.0.0.1]/", "use https|else https"),
        ("myapp:/callback", "use https|domain name"),
        ("COM.example.app:/callback", "use https|lower case"),
    ],
)
def test_an_address_that_could_lead_elsewhere_is_refused(address: str, advice: str, native: bool):
    with pytest.raises(InvalidInput, match=advice) as caught:
        check_addresses("redirect_uris", ["https://good.example/", address], native=native)
    assert caught.value.field == "redirect_uris.1"


def test_there_is_an_end_to_the_list():
    with pytest.raises(InvalidInput, match="20 at most"):
        check_addresses("redirect_uris", [f"https://a.example/{n}" for n in range(21)], native=False)


def test_rfc8252_7_3_the_port_of_a_loopback_address_is_the_apps_to_choose():
    registered = [
        "http://127.0.0.1/callback",
        "http://[::1]:1234/callback",
        "https://app.example.com/callback",
    ]
    for given in (
        "http://127.0.0.1/callback",
        "http://127.0.0.1:49152/callback",
        "http://[::1]:49152/callback",
        "http://[::1]/callback",
        "https://app.example.com/callback",
    ):
        assert is_registered(given, registered, native=True), given
    for given in (
        "http://127.0.0.1:49152/",
        "http://127.0.0.1:49152/callback/",
        "http://127.0.0.1:49152/callback?x=1",
        "http://127.0.0.1:49152@evil.example/callback",
        "http://127.0.0.1:evil/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.2:49152/callback",
        "http://localhost:49152/callback",
        "https://127.0.0.1:49152/callback",
        "https://app.example.com:8443/callback",
        "http://127.0.0.1/callback\n",
        "",
    ):
        assert not is_registered(given, registered, native=True), given


def test_to_a_program_on_a_server_every_character_counts():
    registered = ["https://app.example.com/callback", "http://127.0.0.1/callback"]
    assert is_registered("https://app.example.com/callback", registered, native=False)
    assert not is_registered("http://127.0.0.1:49152/callback", registered, native=False)
    assert not is_registered("https://APP.example.com/callback", registered, native=False)
