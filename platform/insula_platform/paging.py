"""Keyset pages: an opaque cursor says after which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from insula_tenants.errors import InvalidInput

Item = TypeVar("Item")

Cursor = Annotated[
    str | None,
    Query(description="`next_cursor` of the page before; leave it out for the first page.", max_length=500),
]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` for the next page; null on the last page."
    )


def encode_cursor(*position: Any) -> str:
    """A cursor for the position of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps(position, default=str).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The position in `cursor`, one value of each kind; `InvalidInput` when it is none of ours."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    if (
        not isinstance(position, list)
        or len(position) != len(kinds)
        or not all(_is_kind(value, kind) for value, kind in zip(position, kinds, strict=True))
    ):
        raise InvalidInput("cursor", "this is no cursor of this list: use next_cursor of the page before")
    return tuple(position)


def decode_moment(cursor: str) -> tuple[datetime, UUID]:
    """The position of a list by time and id; `InvalidInput` when it is none of ours."""
    time, identifier = decode_cursor(cursor, str, str)
    try:
        moment = datetime.fromisoformat(time), UUID(identifier)
    except ValueError:
        moment = None
    if moment is None or moment[0].tzinfo is None:
        raise InvalidInput("cursor", "this is no cursor of this list: use next_cursor of the page before")
    return moment


def _is_kind(value: object, kind: type) -> bool:
    """Whether the value is of this kind, exactly, and one that PostgreSQL can compare with."""
    if type(value) is not kind:
        return False
    if isinstance(value, str):
        return value.isprintable()
    return not isinstance(value, int) or abs(value) < 2**63
