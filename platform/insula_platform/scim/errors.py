"""Errors as SCIM writes them (RFC 7644, section 3.12): all of what is under `/scim/`."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import JSONResponse

PREFIX = "/scim/"
MEDIA_TYPE = "application/scim+json"
_URN = "urn:ietf:params:scim:api:messages:2.0:Error"

SCHEMA = {
    "title": "ScimError",
    "description": "An error (RFC 7644, section 3.12).",
    "type": "object",
    "required": ["schemas", "status"],
    "properties": {
        "schemas": {"type": "array", "items": {"type": "string"}, "examples": [[_URN]]},
        "status": {"type": "string", "examples": ["404"]},
        "scimType": {"type": "string", "examples": ["uniqueness"]},
        "detail": {"type": "string", "examples": ["there is no user '2819c223'"]},
    },
}
"""For the OpenAPI document."""


def scim_error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error of ours, in the form that a directory reads."""
    body = {"schemas": [_URN], "status": str(status), "detail": detail}
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)
