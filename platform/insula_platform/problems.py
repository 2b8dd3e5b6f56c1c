"""Every error of the API as RFC 9457 problem details (`application/problem+json`).

`type` is a stable reference, `/problems/<name>`, that a program may compare; `detail` is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from insula_platform.scim.errors import PREFIX, SCHEMA, scim_error
from insula_tenants.errors import InsulaError, InvalidInput

log = structlog.stdlib.get_logger("insula.problems")

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One value that cannot be used."""

    field: str = Field(
        description="Where the value was given, dotted.", examples=["query.limit", "body.name", "slug"]
    )
    detail: str = Field(
        description="What is wrong with it, or what would be right.", examples=["use 1 to 1000"]
    )


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(
        description="Stable reference of the kind of problem.", examples=["/problems/not-found"]
    )
    title: str = Field(
        description="The kind of problem in a sentence.", examples=["There is no such thing here."]
    )
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened this time.", examples=["there is no tenant 'acme'"])
    instance: str = Field(description="Path of the request.", examples=["/api/v1/tenants/acme/devices"])
    errors: list[FieldProblem] | None = Field(default=None, description="The values that cannot be used.")
    quota: str | None = Field(default=None, description="The quota that is used up.", examples=["devices"])
    limit: int | None = Field(default=None, description="What it allows.", examples=[25])
    used: int | None = Field(default=None, description="What is in use.", examples=[25])
    takes_along: dict[str, int] | None = Field(
        default=None,
        description="What stands in what was to be removed: how many of each.",
        examples=[{"spaces": 3, "devices": 2}],
    )
    request_id: str | None = Field(default=None, description="Quote it when you report an internal error.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for these statuses: `@router.get(…, responses=problem_responses(404, 409))`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)
    }


def problems_of(*errors: type[InsulaError]) -> dict[int | str, dict[str, Any]]:
    """The same for these errors, whose problem types a program will compare: the description names them."""
    responses = problem_responses(*{error.status for error in errors})
    for status, response in responses.items():
        types = ", ".join(f"`{error.type}`" for error in errors if error.status == status)
        response["description"] += f" ({types})"
    return responses


PROBLEM_RESPONSES = problem_responses(401, 403, 404, 422, 429, 503)
"""What any protected route of a tenant may answer besides its own result."""

OPERATOR_PROBLEM_RESPONSES = problem_responses(401, 403, 404, 422, 503)
"""The same of the operator's, whose requests are not limited."""


def problem_response(
    status: int,
    type: str,  # noqa: A002 - the member's name
    title: str,
    detail: str,
    *,
    instance: str,
    errors: list[FieldProblem] | None = None,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A response whose body is a `Problem`; absent members are left out, `members` are further ones.

    Directories are answered in the form that SCIM gives errors.
    """
    if instance.startswith(PREFIX):
        return scim_error(status, detail, headers)
    problem = Problem(
        type=f"/problems/{type}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        errors=errors,
        request_id=request_id,
        **(members or {}),
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True) | dict(members or {}),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` with problem details. Unexpected ones are `logs.RequestLog`'s."""
    app.add_exception_handler(InsulaError, _insula_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(sqlalchemy.exc.OperationalError, _database_away)
    app.add_exception_handler(sqlalchemy.exc.TimeoutError, _database_away)
    app.add_exception_handler(psycopg.OperationalError, _database_away)
    app.add_exception_handler(psycopg.errors.QueryCanceled, _too_slow)
    app.add_exception_handler(sqlalchemy.exc.DataError, _data_error)
    app.add_exception_handler(psycopg.DataError, _data_error)


def add_schema(document: dict[str, Any]) -> None:
    """Put the schemas that `PROBLEM_RESPONSES` refers to into an OpenAPI document.

    FastAPI would add a second, generic error schema and give these responses the wrong media type.
    """
    template = "#/components/schemas/{model}"
    schema = Problem.model_json_schema(ref_template=template)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(schema.pop("$defs"))
    schemas["Problem"] = schema
    schemas["ScimError"] = SCHEMA
    for path in document["paths"].values():
        for operation in path.values():
            unprocessable = operation.get("responses", {}).get("422", {})
            if "application/json" in unprocessable.get("content", {}):
                operation["responses"]["422"] = problem_responses(422)[422]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)


def _insula_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InsulaError)  # noqa: S101 - registered for this class alone
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error  # our own fault: logged with its traceback, and the body tells the request id alone
    errors = (
        [FieldProblem(field=error.field, detail=error.detail)] if isinstance(error, InvalidInput) else None
    )
    return problem_response(
        error.status,
        error.type,
        error.title,
        error.detail,
        instance=request.url.path,
        errors=errors,
        headers=getattr(error, "headers", None),
        members=getattr(error, "members", None),
    )


def _database_away(request: Request, error: Exception) -> JSONResponse:
    log.warning("the database does not answer", path=request.url.path, error=str(error).splitlines()[0])
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database-away",
        "The database does not answer.",
        "nothing was changed; try again in a few seconds",
        instance=request.url.path,
        headers={"Retry-After": "5"},
    )


def _data_error(request: Request, error: Exception) -> JSONResponse:
    """A NUL in a text: psycopg refuses it before PostgreSQL sees it, hence without a code of an error."""
    refused = error.orig if isinstance(error, sqlalchemy.exc.DataError) else error
    if getattr(refused, "sqlstate", None) is not None:
        raise error  # a value that the database did not like is one that we should have checked
    return problem_response(
        InvalidInput.status,
        InvalidInput.type,
        str(InvalidInput.__doc__),
        "a text has a NUL character (U+0000): leave it out",
        instance=request.url.path,
    )


def _too_slow(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - the handler's shape
    return problem_response(
        InvalidInput.status,
        "too-much",
        "The question takes too long to answer.",
        "ask for fewer points, a shorter time or wider buckets",
        instance=request.url.path,
    )


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    status = HTTPStatus(error.status_code)
    return problem_response(
        status,
        status.phrase.lower().replace(" ", "-"),
        f"{status.phrase}.",
        str(error.detail),
        instance=request.url.path,
        headers=error.headers,
    )


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    # The rejected value itself stays out of the answer: it may be a secret.
    errors = [
        FieldProblem(field=".".join(str(part) for part in item["loc"]), detail=item["msg"])
        for item in error.errors()
    ]
    named = "; ".join(f"{item.field}: {item.detail}" for item in errors)
    return problem_response(
        InvalidInput.status,
        InvalidInput.type,
        str(InvalidInput.__doc__),
        named,
        instance=request.url.path,
        errors=errors,
    )
