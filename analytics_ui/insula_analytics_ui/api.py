"""The platform's API as the pages need it: typed answers, and errors in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from insula_analytics_ui.backend import Backend
from insula_analytics_ui.errors import ApiRefused, PlatformAway, SessionEnded, UiError
from insula_analytics_ui.sessions import Session

PAGE = 1000
"""Items asked for at once."""

POINTS_AT_ONCE = 100
"""Points whose readings are asked for in one request, so that its URL stays short."""


class Item(BaseModel):
    """One item of a list."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_Item = TypeVar("_Item", bound=Item)
Query = list[tuple[str, str | int | float | bool | None]]


class Space(Item):
    """A room, or another space that is measured; `time_zone` is its building's IANA name."""

    id: int
    name: str
    storey: str | None = None
    building: str | None = None
    site: str | None = None
    time_zone: str = "UTC"


class Device(Item):
    """A device; `last_seen` is the time of its last message."""

    id: str
    name: str
    space_id: int | None = None
    last_seen: datetime | None = None


class Point(Item):
    """One measured quantity of a device; `states` names the values 0, 1, … of a point that has states."""

    id: int
    device: str
    name: str
    brick_class: str | None = None
    unit: str | None = None
    kind: str = "gauge"
    states: tuple[str, ...] | None = None


class Latest(Item):
    """The last reading of a point."""

    point: int
    time: datetime
    value: float


class Reading(Item):
    """A reading, or what a bucket that begins at `time` comes to."""

    point: int
    time: datetime
    value: float | None


@dataclass(frozen=True)
class Api:
    """One person's view of their tenant. Every method raises `UiError`s and nothing else."""

    backend: Backend
    session: Session

    def spaces(self) -> list[Space]:
        """All spaces of the tenant."""
        return list(self._items(Space, "spaces", []))

    def devices(self) -> list[Device]:
        """All devices of the tenant."""
        return list(self._items(Device, "devices", []))

    def points(self) -> list[Point]:
        """All points of the tenant."""
        return list(self._items(Point, "points", []))

    def latest(self) -> dict[int, Latest]:
        """The last reading of each point of the tenant that has one."""
        return {item.point: item for item in self._items(Latest, "latest", [])}

    def readings(
        self,
        points: Sequence[int],
        begin: datetime,
        end: datetime,
        *,
        bucket: str,
        aggregate: str,
        time_zone: str,
    ) -> list[Reading]:
        """What each bucket in [`begin`, `end`) comes to, a bucket without readings left out."""
        found: list[Reading] = []
        for start in range(0, len(points), POINTS_AT_ONCE):
            query: Query = [("point", point) for point in points[start : start + POINTS_AT_ONCE]]
            query += [("from", _rfc3339(begin)), ("to", _rfc3339(end))]
            query += [("bucket", bucket), ("aggregate", aggregate), ("time_zone", time_zone)]
            found += self._items(Reading, "readings", query)
        return found

    def _items(self, of: type[_Item], what: str, query: Query) -> Iterator[_Item]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            answer = self._get(what, [*query, ("limit", PAGE), *([("cursor", cursor)] if cursor else [])])
            try:
                yield from [of.model_validate(item) for item in answer["items"]]
            except (KeyError, TypeError, ValidationError) as error:
                raise ApiRefused(
                    502,
                    f"The platform's list of {what} is not as this page knows it.",
                    "Ask who runs the platform whether both are of the same version.",
                ) from error
            cursor = answer.get("next_cursor")
            if not cursor:
                return

    def _get(self, what: str, query: Query) -> dict[str, Any]:
        here = self.backend
        url = f"{here.settings.inside_url}/api/v1/tenants/{self.session.person.tenant}/{what}"
        token = here.access_token(self.session)
        response = self._send(url, query, token)
        if response.status_code == 401:
            response = self._send(url, query, here.access_token(self.session, refused=token))
        if response.status_code == 401:
            here.sessions.end(self.session)
            raise SessionEnded
        if not response.is_success:
            raise _refusal(response, what)
        try:
            answer = response.json()
        except ValueError as error:
            raise PlatformAway from error
        if not isinstance(answer, dict):
            raise PlatformAway
        return answer

    def _send(self, url: str, query: Query, token: str) -> httpx.Response:
        try:
            return self.backend.http.get(url, params=query, headers={"Authorization": f"Bearer {token}"})
        except httpx.HTTPError as error:
            raise PlatformAway from error


def _refusal(response: httpx.Response, what: str) -> UiError:
    """An error answer in words; the platform's own `detail` where it helps."""
    status = response.status_code
    if status in {502, 503, 504}:
        return PlatformAway()
    if status == 403 and _kind(response) in {"tenant-suspended", "tenant-deleting"}:
        said = _detail(response)
        return ApiRefused(
            status, f"{said[:1].upper()}{said[1:]}", "Ask the operator of the platform about it."
        )
    if status == 403:
        return ApiRefused(
            status, f"Your role does not let you read {what}.", "Ask an administrator of your tenant for it."
        )
    if status == 404:
        return ApiRefused(
            status,
            f"The platform has no {what} for you.",
            "Ask an administrator whether you still belong to it.",
        )
    if status == 429:
        return ApiRefused(status, "Your tenant asks too much at once.", "This page tries again by itself.")
    return ApiRefused(
        status, f"The platform could not list {what}: {_detail(response)}", "Try again in a moment."
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
    return str(said or f"HTTP status {response.status_code}").rstrip(".") + "."


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
