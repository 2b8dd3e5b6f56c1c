"""`/docs`: the OpenAPI document as a page, rendered on the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

STATIC = Path(__file__).with_name("static")

router = APIRouter(include_in_schema=False)

_templates = Environment(
    loader=PackageLoader("insula_platform.reference"), autoescape=True, undefined=StrictUndefined
)


def _prose(text: str) -> Markup:
    """Text of a docstring as HTML; what is `so` is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


_templates.filters["prose"] = _prose

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Every operation with its scopes, parameters, answers and an example."""
    document = request.app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {}
    for operation in _operations(document):
        groups.setdefault(operation["group"], []).append(operation)
    page = _templates.get_template("reference.html").render(info=document["info"], groups=groups)
    return HTMLResponse(page, headers=_HEADERS)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {
                "id": operation["operationId"],
                "group": (operation.get("tags") or ["Other"])[0],
                "method": method.upper(),
                "path": path,
                "description": operation.get("description", operation.get("summary", "")),
                "scopes": sorted(
                    {s for each in operation.get("security", []) for one in each.values() for s in one}
                ),
                "parameters": [_parameter(each) for each in operation.get("parameters", [])],
                "answers": {
                    status: answer["description"] for status, answer in sorted(operation["responses"].items())
                },
                "example": _example(document, operation),
            }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter.get("schema", {})
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "required": parameter.get("required", False),
        "kind": " or ".join(_kind(each) for each in kinds),
        "default": schema.get("default"),
        "description": parameter.get("description", ""),
    }


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"{_kind(schema['items'])}, repeatable"
    limits = [
        f"{sign} {schema[name]}" for name, sign in (("minimum", "≥"), ("maximum", "≤")) if name in schema
    ]
    return " ".join([str(schema.get("format", schema.get("type", "any"))), *limits])


def _example(document: dict[str, Any], operation: dict[str, Any]) -> str | None:
    """The example of the answer, made from those of the schemas it consists of."""
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    example = _example_of(document, content.get("schema", {}))
    return None if example is None else json.dumps(example, indent=2, ensure_ascii=False)


def _example_of(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _example_of(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "example" in schema:
        return schema["example"]
    if schema.get("type") == "array":
        inner = _example_of(document, schema["items"])
        return None if inner is None else [inner]
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        members = {name: _example_of(document, each) for name, each in properties.items()}
        return members if any(value is not None for value in members.values()) else None
    return None
