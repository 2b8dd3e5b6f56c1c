"""SCIM 2.0, as scim2-tester checks any server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import scim2_tester.filling
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from scim2_tester.checkers import patch_add, patch_replace

from insula_platform.oauth.clients import create_service_client
from tests.platform.conftest import Live
from tests.platform.federation.conftest import DOMAIN, Admin

ALWAYS_THERE = "Attribute 'active' was not removed"
"""Who is not said to be inactive is active: the attribute has a default, as RFC 7643, section 2.5, allows."""


@pytest.fixture
def client(live: Live, admin: Admin) -> Iterator[SyncSCIMClient]:
    with live.deployment.databases.core() as core:
        program = create_service_client(core, live.deployment.acme, "directory", "scim:write")
    token = live.token_request(program, grant_type="client_credentials").json()["access_token"]
    with httpx2.Client(
        base_url=f"{live.url}/scim/v2/acme", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as http:
        yield SyncSCIMClient(http)


@pytest.fixture(autouse=True)
def _own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tester makes addresses up; only those of a verified domain come in."""
    made_up = scim2_tester.filling.generate_random_value

    def value(context: Any, path: Any, *args: Any, **named: Any) -> Any:
        made = made_up(context, path, *args, **named)
        is_address = isinstance(made, str) and ("@" in made or str(path).endswith("userName"))
        return f"{uuid4().hex}@{DOMAIN}" if is_address else made

    for module in (scim2_tester.filling, patch_add, patch_replace):
        monkeypatch.setattr(module, "generate_random_value", value)


def test_the_tester_finds_nothing_wrong(client: SyncSCIMClient):
    results = check_server(client)
    wrong = [
        f"{result.title} {result.resource_type}: {result.reason}"
        for result in results
        if result.status in {Status.ERROR, Status.CRITICAL} and result.reason != ALWAYS_THERE
    ]
    assert not wrong, "\n".join(wrong)
    checked = {(result.title, result.resource_type) for result in results if result.status == Status.SUCCESS}
    for kind in ("User", "Group"):
        for title in ("object_creation", "object_query", "object_replacement", "object_deletion"):
            assert (title, kind) in checked, checked
