"""What the API says while the database is away, and that it comes back by itself."""

from __future__ import annotations

import pytest

from tests.e2e.stack import Api, Stack
from tests.waiting import eventually


@pytest.mark.long
def test_the_api_says_so_while_the_database_is_away_and_comes_back_by_itself(stack: Stack):
    with stack.api("acme") as api:
        for path in ("devices", "latest"):
            assert api.get(path).status_code == 200
        with stack.postgres.away():
            for path in ("devices", "latest"):
                answer = api.get(path)
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"] == "5"
                assert answer.json()["type"] == "/problems/database-away"
                assert "5432" not in answer.text, "where the database is, is nobody's business"
            assert ready(api) == 503
        for path in ("devices", "latest"):
            eventually(lambda path=path: api.get(path).status_code == 200, what=f"{path} after the outage")
        eventually(lambda: ready(api) == 200, what="readiness")


def ready(api: Api) -> int:
    """The status of the readiness probe."""
    return api.http.get("/readyz").status_code
