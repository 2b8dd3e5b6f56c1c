"""Domains: claimed by anybody, proven by TXT record, one tenant's at a time."""

from __future__ import annotations

import pytest

from insula_platform.federation.dns import DnsAway, DnsTxtRecords
from insula_platform.federation.domains import (
    NotVerified,
    claim_domain,
    domain_of,
    find_domain,
    normal_domain,
    remove_domain,
    tenant_of_domain,
    verify_domain,
)
from insula_tenants.audit import SYSTEM
from insula_tenants.errors import Conflict, InvalidInput
from tests.platform.conftest import Live
from tests.platform.federation.conftest import Admin
from tests.servers.dns import DnsServer


@pytest.mark.parametrize("at", ["_insula.{}", "{}"])
def test_the_record_may_be_at_either_place(admin: Admin, dns_server: DnsServer, at: str):
    name = f"{'own' if at == '{}' else 'sub'}.acme.test"
    claimed = admin.call("POST", "/sso/domains", {"domain": f" {name.upper()}. "})
    assert (claimed.status_code, claimed.json()["verified_at"]) == (201, None)
    again = admin.call("POST", "/sso/domains", {"domain": name})
    assert (again.status_code, again.json()) == (200, claimed.json())
    missing = admin.call("POST", f"/sso/domains/{name}/verify")
    assert (missing.status_code, missing.json()["type"]) == (409, "/problems/domain-not-verified")
    assert claimed.json()["record_value"] in missing.json()["detail"]
    dns_server.texts[at.format(name)] = ["v=spf1 -all", "insula-verify=another's"]
    assert admin.call("POST", f"/sso/domains/{name}/verify").status_code == 409
    dns_server.texts[at.format(name)].append(claimed.json()["record_value"])
    assert admin.call("POST", f"/sso/domains/{name}/verify").json()["verified_at"] is not None
    assert admin.call("GET", f"/sso/domains/{name}").json()["verified_at"] is not None
    names = [item["domain"] for item in admin.call("GET", "/sso/domains?limit=1000").json()["items"]]
    assert name in names
    assert names == sorted(names)
    assert admin.call("DELETE", f"/sso/domains/{name}").status_code == 204
    assert admin.call("GET", f"/sso/domains/{name}").status_code == 404


def test_a_domain_is_one_tenants(live: Live):
    texts: list[str] = []
    databases, acme, globex = live.deployment.databases, live.deployment.acme, live.deployment.globex

    def claim(tenant) -> None:
        with databases.core() as core:
            claimed, _ = claim_domain(core, tenant, "shared.test", actor=SYSTEM)
            texts.append(f"insula-verify={claimed.challenge}")

    claim(acme)
    with pytest.raises(NotVerified):
        verify_domain(databases, acme, "shared.test", lambda _: [], actor=SYSTEM)
    claim(globex)  # anybody may say so
    with pytest.raises(NotVerified):
        verify_domain(databases, globex, "shared.test", lambda _: texts[:1], actor=SYSTEM)
    verify_domain(databases, acme, "shared.test", lambda _: texts, actor=SYSTEM)
    with pytest.raises(Conflict, match="another tenant"):
        verify_domain(databases, globex, "shared.test", lambda _: texts, actor=SYSTEM)
    with databases.core() as core:
        assert tenant_of_domain(core, "shared.test") == acme.id
        remove_domain(core, acme, "shared.test", actor=SYSTEM)
    verify_domain(databases, globex, "shared.test", lambda _: texts, actor=SYSTEM)
    with databases.core() as core:
        assert tenant_of_domain(core, "shared.test") == globex.id
        assert find_domain(core, globex, "shared.test").verified_at is not None
        remove_domain(core, globex, "shared.test", actor=SYSTEM)


def test_records_are_read_from_a_server_and_silence_is_no_answer(dns_server: DnsServer):
    texts = DnsTxtRecords(dns_server.address)
    dns_server.texts["some.test"] = ["one", "x" * 200]
    assert sorted(texts("some.test")) == ["one", "x" * 200]
    assert texts("none.test") == []
    dns_server.texts["empty.test"] = []
    assert texts("empty.test") == []


def test_a_server_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("insula_platform.federation.dns.SECONDS", 0.2)
    with pytest.raises(DnsAway):
        DnsTxtRecords("127.0.0.1#1")("some.test")


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "localhost",
        "test",
        "192.0.2.1",
        "a..test",
        "-a.test",
        "a b.test",
        "*.test",
        "a" * 300 + ".test",
        "a.test/x",
    ],
)
def test_what_is_no_domain(domain: str):
    with pytest.raises(InvalidInput):
        normal_domain(domain)


def test_domains_are_compared_in_one_form():
    assert normal_domain("Bücher.Test") == "xn--bcher-kva.test"
    assert domain_of("a@BÜCHER.test") == "xn--bcher-kva.test"
    assert domain_of("no address") is None
