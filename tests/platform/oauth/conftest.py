"""One platform for the whole suite of the provider: what a test does to a grant or a client is its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Deployment, deploy
from tests.platform.conftest import Live, running
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="package")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    yield from deploy(postgres_server)


@pytest.fixture(scope="package")
def live(deployment: Deployment, ui_url: str) -> Iterator[Live]:
    with running(deployment, ui_url) as platform:
        yield platform
