"""How many requests a tenant may send in a minute, counted in the memory of this process.

A window of a minute begins with the first request after the last one ended. Each answer says how it stands,
in the fields of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "tenant";q=3000;w=60` is the
quota, and `RateLimit: "tenant";r=2990;t=42` what remains of it for so many seconds.

Several processes count for themselves: each admits the whole quota.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from insula_tenants.errors import InsulaError

WINDOW = 60
"""Seconds of a window."""
_STATE = "rate_limit"


class Standing(NamedTuple):
    """How a tenant stands in its present window."""

    quota: int
    remaining: int
    reset: int
    """Seconds until a new window may begin, at least 1."""

    @property
    def headers(self) -> dict[str, str]:
        """The fields of an answer."""
        return {
            "RateLimit-Policy": f'"tenant";q={self.quota};w={WINDOW}',
            "RateLimit": f'"tenant";r={self.remaining};t={self.reset}',
        }


class TooManyRequests(InsulaError):
    """The tenant has sent its requests of this minute."""

    status = 429
    type = "too-many-requests"

    def __init__(self, standing: Standing) -> None:
        """`standing` is that of a tenant with nothing remaining."""
        super().__init__(
            f"the tenant may send {standing.quota} requests a minute (quota api_requests_per_minute): "
            f"try again in {standing.reset} s"
        )
        self.headers = {"Retry-After": str(standing.reset)}


class RateLimiter:
    """Counts requests by tenant. One per process; used in its event loop."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._exhausted: dict[str, tuple[int, float]] = {}

    def refuse_exhausted(self, tenant: str, scope: Scope) -> None:
        """Refuse a tenant that was refused in this window already: that asks no database.

        Raises `TooManyRequests`. A larger quota counts from the next window on.
        """
        quota, ends = self._exhausted.get(tenant, (0, 0.0))
        if ends > time.time():
            raise self._refusal(Standing(quota, 0, _seconds_to(ends)), scope)
        self._exhausted.pop(tenant, None)

    async def count(self, tenant: str, quota: int | None, scope: Scope) -> None:
        """Count a request of the tenant, whose limit is `quota`; None is no limit.

        The answer to the request of `scope` will say how the tenant stands. Raises `TooManyRequests`.
        """
        if quota is None:
            return
        item = RateLimitItemPerMinute(quota)
        admitted = await self._limiter.hit(item, tenant)
        ends, remaining = await self._limiter.get_window_stats(item, tenant)
        standing = Standing(quota, remaining, _seconds_to(ends))
        if not admitted:
            self._exhausted[tenant] = quota, ends
            raise self._refusal(standing, scope)
        scope.setdefault("state", {})[_STATE] = standing

    def _refusal(self, standing: Standing, scope: Scope) -> TooManyRequests:
        scope.setdefault("state", {})[_STATE] = standing
        return TooManyRequests(standing)


def _seconds_to(ends: float) -> int:
    return max(1, math.ceil(ends - time.time()))


class RateLimitFields:
    """ASGI middleware: every answer to a request that was counted says how its tenant stands."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the application inside."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def send_with_fields(message: Message) -> None:
            standing = scope.get("state", {}).get(_STATE)
            if standing is not None and message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(standing.headers)
            await send(message)

        await self.app(scope, receive, send_with_fields)


def document_fields(document: dict[str, Any]) -> None:
    """Put the fields into the answers of every tenant's operation in an OpenAPI document."""
    fields = {
        "RateLimit": (
            "What remains of the tenant's requests (`r`), and for how many seconds (`t`). "
            "Absent when the tenant has no limit.",
            '"tenant";r=2990;t=42',
        ),
        "RateLimit-Policy": ("Requests (`q`) in a window of seconds (`w`).", '"tenant";q=3000;w=60'),
    }
    headers = {
        name: {"description": description, "schema": {"type": "string"}, "example": example}
        for name, (description, example) in fields.items()
    }
    document.setdefault("components", {})["headers"] = headers
    for path, operations in document["paths"].items():
        if "{tenant}" not in path:
            continue
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.startswith("2") or status == "429":
                    response.setdefault("headers", {}).update(
                        {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
                    )
                if status == "429":
                    response["headers"]["Retry-After"] = {
                        "description": "Seconds after which a request is admitted again.",
                        "schema": {"type": "integer"},
                    }
