"""Answers that last longer than a moment: streams, downloads and uploads end when their grant does.

What was checked when a request began may not hold until its answer ends. So whoever answers for long asks
again every few seconds; nothing outlasts its token either.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from insula_platform.access.requests import Access, effective
from insula_tenants.database import AsyncDatabases
from insula_tenants.errors import InsulaError, NotAllowed, NotFound, TenantClosed
from insula_tenants.registry import ResolvedBearer, resolve_bearer, resolve_bearers

LOOK_EVERY = 3.0
"""Seconds after which the registry is asked anew."""


class AccessEnded(NotAllowed):
    """What this was allowed by is over."""

    type = "access-ended"


class Over(NamedTuple):
    """That an access is no longer good, and why."""

    closed: bool
    """Whether it is for everybody in the tenant."""
    detail: str


async def ended(databases: AsyncDatabases, asked: Iterable[Access]) -> dict[Access, Over]:
    """Those of these that are no longer what they were when their requests began, in one round trip."""
    asked = list(asked)
    # One token may have many streams open.
    questions = list({(access.context.slug, access.bearer) for access in asked})
    async with databases.core() as connection:
        answers = dict(zip(questions, await resolve_bearers(connection, questions), strict=True))
    found = {access: why_over(access, answers[access.context.slug, access.bearer]) for access in asked}
    return {access: over for access, over in found.items() if over is not None}


def check_still(core: Session, access: Access) -> None:
    """`AccessEnded`, or why the tenant is closed, when the access is no longer what it was."""
    try:
        found = resolve_bearer(core, access.context.slug, access.bearer)
    except (TenantClosed, NotFound):
        raise
    except InsulaError as over:
        raise AccessEnded(over.detail) from None
    if over_now := why_over(access, found):
        raise AccessEnded(over_now.detail)


def why_over(access: Access, now: ResolvedBearer | InsulaError) -> Over | None:
    """What has ended an access, by what the registry says now."""
    if isinstance(now, InsulaError):
        return Over(isinstance(now, (TenantClosed, NotFound)), now.detail)
    if now.context != access.context:
        return Over(True, f"tenant {access.context.slug!r} was erased")
    if not effective(access.granted, now).issuperset(access.needed):
        return Over(False, "the role or the scope that allowed this is gone")
    if now.places != access.places:
        return Over(False, "the grant covers other places now: ask again")
    return None


class Watch:
    """Looks now and then whether a download may go on."""

    def __init__(self, databases: AsyncDatabases, access: Access) -> None:
        """The access was good a moment ago."""
        self._databases = databases
        self._access = access
        self._looked_at = time.monotonic()

    async def look(self) -> None:
        """`AccessEnded` when the token has expired or the access is over. Cheap to call often."""
        if self._access.expires_at <= time.time():
            raise AccessEnded("the access token has expired: ask for less at a time, or use an API key")
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return
        if over := (await ended(self._databases, [self._access])).get(self._access):
            raise AccessEnded(over.detail)
        self._looked_at = time.monotonic()
