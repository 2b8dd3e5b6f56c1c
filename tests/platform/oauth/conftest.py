"""One platform for the whole suite of the provider: what a test does to a grant or a client is its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Deployment, deploy
from tests.platform.conftest import Live, served
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="package")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    yield from deploy(postgres_server)


@pytest.fixture(scope="package")
def live(deployment: Deployment, ui_url: str) -> Iterator[Live]:
    with served(deployment, ui_url, "127.0.0.1") as platform:
        yield platform
