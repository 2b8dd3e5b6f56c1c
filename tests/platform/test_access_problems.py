"""Errors as problem details, request ids, and logs that keep secrets."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from insula_platform import logs
from tests.platform.conftest import Live


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/probe/conflict", 409, "conflict"),
        ("/probe/invalid", 422, "invalid-input"),
        ("/probe/limit?limit=many", 422, "invalid-input"),
        ("/nowhere", 404, "not-found"),
        ("/oauth/token", 405, "method-not-allowed"),
        ("/probe/fault", 500, "internal-error"),
    ],
)
def test_every_error_is_a_problem_with_a_stable_type(live: Live, path: str, status: int, kind: str):
    answer = live.get(path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{kind}"
    assert problem["instance"] == path.partition("?")[0]
    assert problem["title"]
    assert problem["detail"]


def test_bad_input_is_named_and_not_repeated(live: Live):
    problem = live.get("/probe/limit?limit=hunter2").json()
    assert problem["errors"][0]["field"] == "query.limit"
    assert "integer" in problem["errors"][0]["detail"]
    assert "hunter2" not in json.dumps(problem)
    assert live.get("/probe/invalid").json()["errors"] == [{"field": "name", "detail": "give a name"}]


def test_an_unexpected_error_is_logged_and_answered_with_its_id_alone(
    live: Live, caplog: pytest.LogCaptureFixture
):
    answer = live.get("/probe/fault")
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-request-id"] in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_harmless_request_id_is_kept_and_another_replaced(live: Live):
    with live.client() as client:
        kept = client.get("/healthz", headers={"X-Request-Id": "trace-0123456789"})
        assert kept.headers["x-request-id"] == "trace-0123456789"
        other = client.get("/healthz", headers={"X-Request-Id": '"} evil'})
        assert other.headers["x-request-id"] != '"} evil'


def test_health_and_readiness(live: Live):
    assert live.get("/healthz").json() == {"status": "alive"}
    assert live.get("/readyz").json() == {"status": "ready"}


def test_logs_hold_one_line_per_request_and_none_of_its_secrets(live: Live, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    tokens = live.tokens_of("ada@example.com")
    live.token_request(live.service, grant_type="client_credentials")
    # httpx and httpcore are the client's side of this test.
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert sum("path='/oauth/token'" in line for line in lines) >= 1
    written = "\n".join(lines)
    for secret in (tokens["access_token"], tokens["refresh_token"], tokens["id_token"], live.service[1]):
        assert secret not in written
    for trace in ("code=", "code_verifier", "state=", "return_to", "correct horse"):
        assert trace not in written


@pytest.fixture
def process_logs(monkeypatch: pytest.MonkeyPatch):
    """What a process that called `configure_logging` writes; the logging of the test run is put back."""
    root, authlib = logging.getLogger(), logging.getLogger("authlib")
    handlers, level, authlib_level = root.handlers[:], root.level, authlib.level
    configuration = structlog.get_config()
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.configure_logging("debug")
    yield written
    root.handlers[:], root.level = handlers, level
    root.setLevel(level)
    authlib.setLevel(authlib_level)
    structlog.reset_defaults()
    structlog.configure(**configuration)


def test_a_process_logs_json_lines_from_us_and_from_libraries(process_logs: io.StringIO):
    structlog.stdlib.get_logger("insula.fresh").info("hello", tenant="acme")
    logging.getLogger("library").warning("careful %s", "now")
    logging.getLogger("authlib.oauth2").debug("Issue token %r", {"access_token": "secret"})
    password = "hunter2"
    try:
        int(password[:0])
    except ValueError:
        structlog.stdlib.get_logger("insula.fresh").exception("it broke")
    assert password not in process_logs.getvalue()
    lines = [json.loads(line) for line in process_logs.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["hello", "careful now", "it broke"]
    assert lines[0]["tenant"] == "acme"
    assert (lines[1]["level"], lines[1]["logger"]) == ("warning", "library")
    assert "ValueError" in lines[2]["exception"]
    assert lines[0]["timestamp"].endswith("Z")
