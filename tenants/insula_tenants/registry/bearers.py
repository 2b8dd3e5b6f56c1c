"""Whom a request speaks for, as the registry knows it at this moment.

A token says what was true when it was signed. The statement that resolves the tenant at each request also
asks whether its bearer still is a member and with which role, and whether client, grant, token or key were
revoked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, LiteralString, NamedTuple, cast
from uuid import UUID

import psycopg
from sqlalchemy.orm import Session

from insula_tenants.context import TenantContext
from insula_tenants.errors import InsulaError, NotFound
from insula_tenants.names import is_slug
from insula_tenants.registry.service import opened
from insula_tenants.spaces.places import Places


class NoLongerGood(InsulaError):
    """The credentials were good once."""

    status = 401
    type = "not-authenticated"


class Person(NamedTuple):
    """A member, through a client that they let act for them."""

    account: UUID
    client: str
    grant: UUID | None
    """None for a token that names none."""
    token: str
    """The token's `jti`."""


class Program(NamedTuple):
    """A service client of the tenant, which acts for itself."""

    client: str
    token: str
    """The token's `jti`."""


class KeyBearer(NamedTuple):
    """Whoever shows an API key."""

    key_hash: str


Bearer = Person | Program | KeyBearer


class ResolvedBearer(NamedTuple):
    """A tenant to act in, and what the registry lets this bearer do there."""

    context: TenantContext
    limits: tuple[Mapping[str, int | None], Mapping[str, int | None]]
    """Its plan's and its own: `Quotas.of(*limits)` makes them."""
    role: str | None
    """The person's, or of who made the key; None for a program that acts for itself."""
    scope: str | None
    """The most that the client or the key may, space-separated; None when only the role is a bound."""
    places: tuple[Places, ...]
    """Only what stands in all of these; none for the whole tenant."""
    key_id: UUID | None
    expires_at: float | None
    """When the key does, in seconds since the epoch."""


async def resolve_tenant_async(
    connection: psycopg.AsyncConnection[dict[str, Any]], slug: str, bearer: Bearer
) -> ResolvedBearer:
    """The tenant, limits and bearer of a request, in one statement on `AsyncDatabases.core`'s connection.

    Raises `NotFound` when there is no such tenant or the key is another's, `NoLongerGood` when the bearer may
    not act there any more, `TenantSuspended`, `TenantDeleting` and `TenantUnavailable` as `resolve_tenant`.
    """
    cursor = await connection.execute(_statement(bearer), _parameters(slug, bearer))
    return _resolved(await cursor.fetchone(), slug, bearer)


async def resolve_operator_async(
    connection: psycopg.AsyncConnection[dict[str, Any]], client: str, token: str
) -> str:
    """The scopes that a client of the operator's may have; `NoLongerGood` when it or its token is revoked."""
    cursor = await connection.execute(_text("resolve_operator"), {"client": client, "token": token})
    row = await cursor.fetchone()
    if row is None:
        raise NoLongerGood("the client is not registered with the operator")
    if row["is_revoked"]:
        raise NoLongerGood("the token was revoked")
    return str(row["scope"])


def resolve_bearer(core: Session, slug: str, bearer: Bearer) -> ResolvedBearer:
    """`resolve_tenant_async` in a session on the registry."""
    found = core.connection().exec_driver_sql(_statement(bearer), _parameters(slug, bearer))
    row = found.mappings().first()
    return _resolved(dict(row) if row is not None else None, slug, bearer)


async def resolve_bearers(
    connection: psycopg.AsyncConnection[dict[str, Any]], asked: Sequence[tuple[str, Bearer]]
) -> list[ResolvedBearer | InsulaError]:
    """`resolve_tenant_async` for many at once, in one round trip: what is true of each, or why it is over."""
    cursors = [
        await connection.execute(_statement(bearer), _parameters(slug, bearer)) for slug, bearer in asked
    ]
    found: list[ResolvedBearer | InsulaError] = []
    for (slug, bearer), cursor in zip(asked, cursors, strict=True):
        row = await cursor.fetchone()
        try:
            found.append(_resolved(row, slug, bearer))
        except InsulaError as over:
            found.append(over)
    return found


def _statement(bearer: Bearer) -> LiteralString:
    return _text("resolve_key" if isinstance(bearer, KeyBearer) else "resolve_token")


@cache
def _text(name: str) -> LiteralString:
    found: Any = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
    return cast("LiteralString", found)


def _parameters(slug: str, bearer: Bearer) -> dict[str, Any]:
    if isinstance(bearer, KeyBearer):
        return {"key_hash": bearer.key_hash}
    return {
        # Else a NUL, say, would be PostgreSQL's to refuse; nothing is found for it.
        "slug": slug if is_slug(slug) else "",
        "client": bearer.client,
        "token": bearer.token,
        "account": bearer.account if isinstance(bearer, Person) else None,
        "grant": bearer.grant if isinstance(bearer, Person) else None,
    }


def _resolved(row: Mapping[str, Any] | None, slug: str, bearer: Bearer) -> ResolvedBearer:
    if isinstance(bearer, KeyBearer):
        if row is None:
            raise NoLongerGood("there is no such API key, or it was revoked")
        if row["slug"] != slug:
            raise NotFound(f"there is no tenant {slug!r}")
    if row is not None and (why := _why_not(row, bearer)):
        raise NoLongerGood(why)
    context, limits = opened(row, slug)
    assert row is not None  # noqa: S101 - a tenant without a row is not found
    places = (Places.of(row["places"]), Places.of(row["own_places"]))
    return ResolvedBearer(
        context,
        limits,
        row["role"],
        row["scope"],
        tuple(one for one in places if one is not None),
        row.get("key_id"),
        row["expires_at"].timestamp() if "expires_at" in row else None,
    )


def _why_not(row: Mapping[str, Any], bearer: Bearer) -> str | None:
    """Why the bearer may not act in the tenant of this row (any more)."""
    if isinstance(bearer, KeyBearer):
        return "the API key has expired" if row["expired"] else None
    if not row["is_client"]:
        return "the client is not registered with this tenant"
    if row["is_revoked"]:
        return "the token was revoked"
    if isinstance(bearer, Person) and row["role"] is None:
        return "the person does not belong to the tenant"
    return None
