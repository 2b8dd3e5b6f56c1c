"""The client of one person: typed answers, several at once, and errors in words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from insula_analytics_ui.backend import Backend
from insula_analytics_ui.errors import ApiRefused, PlatformAway, SessionEnded, UiError
from insula_analytics_ui.sessions import Session
from insula_analytics_ui.words import _

PAGE = 1000
"""Items of a list asked for at once."""

AT_ONCE = 32
"""Requests that all pages of this process have under way at once, when they ask for several."""

Query = list[tuple[str, str | int | float | bool | None]]

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="api")


class Answer(BaseModel):
    """What the platform answers. What it says beyond what a page needs is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_Answer = TypeVar("_Answer", bound=Answer)
T = TypeVar("T")


@dataclass(frozen=True)
class Api:
    """One person's view of their tenant. Every method raises `UiError`s and nothing else."""

    backend: Backend
    session: Session

    def one(self, of: type[_Answer], path: str, query: Query | None = None) -> _Answer:
        """The one answer at `path` beneath the tenant."""
        answer = self.get(path, query or []).json()
        try:
            return of.model_validate(answer)
        except ValidationError as error:
            raise _not_as_known(path) from error

    def items(
        self, of: type[_Answer], path: str, query: Query | None = None, *, page: int = PAGE
    ) -> list[_Answer]:
        """All items of the list at `path`, page after page."""
        return list(self._items(of, path, query or [], page))

    def _items(self, of: type[_Answer], path: str, query: Query, page: int) -> Iterator[_Answer]:
        cursor: str | None = None
        while True:
            asked = [*query, ("limit", page), *([("cursor", cursor)] if cursor else [])]
            answer = self.get(path, asked).json()
            try:
                yield from [of.model_validate(item) for item in answer["items"]]
            except (KeyError, TypeError, ValidationError) as error:
                raise _not_as_known(path) from error
            cursor = answer.get("next_cursor")
            if not cursor:
                return

    def get(self, path: str, query: Query, *, accept: str = "application/json") -> httpx.Response:
        """The answer to a GET, in the format asked for."""
        response = self.authorized(lambda token: self._send(path, query, token, accept))
        if not response.is_success:
            raise refusal(response, path)
        if accept == "application/json":
            _check_json(response)
        return response

    def authorized(self, send: Callable[[str], httpx.Response]) -> httpx.Response:
        """What `send` answers with an access token, tried once more with a new one when it was refused."""
        token = self.backend.access_token(self.session)
        response = send(token)
        if response.status_code == 401:
            response.close()
            response = send(self.backend.access_token(self.session, refused=token))
        if response.status_code == 401:
            response.close()
            self.backend.sessions.end(self.session)
            raise SessionEnded
        return response

    def url(self, path: str) -> str:
        """The address of `path` beneath the tenant."""
        return f"{self.backend.settings.inside_url}/api/v1/tenants/{self.session.person.tenant}/{path}"

    def _send(self, path: str, query: Query, token: str, accept: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        try:
            return self.backend.http.get(self.url(path), params=query, headers=headers)
        except httpx.HTTPError as error:
            raise PlatformAway from error


def together(*calls: Callable[[], T]) -> list[T]:
    """What the calls answer, in their order, all asked at once. Of errors the first is raised."""
    if len(calls) < 2:
        return [call() for call in calls]
    running = [_threads.submit(copy_context().run, call) for call in calls]
    return [each.result() for each in running]


def rfc3339(time: datetime) -> str:
    """An instant as the API takes it."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _check_json(response: httpx.Response) -> None:
    try:
        answer = response.json()
    except ValueError as error:
        raise PlatformAway from error
    if not isinstance(answer, dict):
        raise PlatformAway


def _not_as_known(path: str) -> ApiRefused:
    return ApiRefused(
        502,
        _("The platform's answer about {what} is not as this page knows it.").format(what=path),
        _("Ask who runs the platform whether both are of the same version."),
    )


def refusal(response: httpx.Response, what: str) -> UiError:
    """An error answer in words; the platform's own `detail` where it helps."""
    status = response.status_code
    if status in {502, 503, 504}:
        return PlatformAway()
    if status == 403 and _kind(response) in {"tenant-suspended", "tenant-deleting"}:
        said = _detail(response)
        return ApiRefused(
            status, f"{said[:1].upper()}{said[1:]}", _("Ask the operator of the platform about it.")
        )
    if status == 403:
        return ApiRefused(
            status,
            _("Your role does not let you read {what}.").format(what=what),
            _("Ask an administrator of your tenant for it."),
        )
    if status == 404:
        return ApiRefused(
            status,
            _("The platform has no {what} for you.").format(what=what),
            _("Ask an administrator whether you still belong to it."),
        )
    if status == 429:
        return ApiRefused(
            status, _("Your tenant asks too much at once."), _("This page tries again by itself.")
        )
    return ApiRefused(
        status,
        _("The platform could not answer about {what}: {detail}").format(what=what, detail=_detail(response)),
        _("Try again in a moment."),
    )


def _kind(response: httpx.Response) -> str:
    """The last part of the problem's type."""
    return str(_problem(response).get("type", "")).rpartition("/")[2]


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document (RFC 9457); empty when there is none."""
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _detail(response: httpx.Response) -> str:
    """What the problem document says."""
    problem = _problem(response)
    said = problem.get("detail") or problem.get("title")
    return str(said or f"HTTP {response.status_code}").rstrip(".") + "."
