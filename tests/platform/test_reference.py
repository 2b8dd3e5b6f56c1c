"""The API reference: complete, and quiet."""

from __future__ import annotations

from html import unescape

from tests.platform.conftest import Live


def test_every_operation_is_on_the_page(live: Live):
    page = live.get("/docs")
    assert page.status_code == 200
    text = unescape(page.text)
    for path, methods in live.get("/openapi.json").json()["paths"].items():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in text
            assert path in text
    assert "Zone_Air_Temperature_Sensor" in text, "examples are shown"
    assert "<script" not in text
    assert "<code>dry_run</code>" in text, "what docstrings mark as code is code"
    assert "`" not in text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert live.get("/docs/static/reference.css").status_code == 200


def test_every_operation_of_the_api_tells_its_scope_errors_and_example(live: Live):
    document = live.get("/openapi.json").json()
    api = {
        path: methods
        for path, methods in document["paths"].items()
        if path.startswith("/api/") and not path.endswith("probe")  # the tests' own
    }
    assert api
    # Devices call these before they are known: by a code, or by a key that is no access token.
    public = {
        "/api/v1/claims": {"403", "404", "409", "422", "429", "503"},
        "/api/v1/enrolments": {"401", "403", "409", "422", "429", "503"},
        "/api/v1/enrolments/{enrolment}/login": {"401", "403", "404", "409", "422", "429", "503"},
    }
    for path, errors in public.items():
        operation = api.pop(path)["post"]
        assert errors <= operation["responses"].keys(), path
        assert "`too-many-guesses`" in operation["responses"]["429"]["description"]
        assert operation["description"], path
    for path, methods in api.items():
        for operation in methods.values():
            assert any(scopes for each in operation["security"] for scopes in each.values()), path
            assert {"401", "403", "404", "422"} <= operation["responses"].keys(), path
            assert operation["description"], path
