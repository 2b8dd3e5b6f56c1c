"""A program of acme's that uploads readings, and devices to upload them for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from insula_tenants.devices import create_device
from tests.conftest import Deployment
from tests.platform.backfill.bodies import CSV, PATH, token_of
from tests.platform.conftest import Live
from tests.servers.mqtt import unique


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    return token_of(live, "readings:write readings:read")


@pytest.fixture
def send(live: Live, token: str) -> Callable[..., httpx.Response]:
    def sent(
        content: bytes | Iterable[bytes], media_type: str = CSV, *, token: str = token, **query: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        with live.client() as client:
            return client.post(PATH, content=content, params=query, headers=headers, timeout=60)

    return sent


@pytest.fixture
def device(deployment: Deployment) -> str:
    """A device of acme's without points."""
    slug = unique("meter")
    with deployment.databases.tenant(deployment.acme) as session:
        create_device(session, slug, name=slug)
    return slug
