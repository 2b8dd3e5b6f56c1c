"""`Idempotency-Key`: a creating request that is sent again makes nothing twice.

What the first request made is kept under its key, as long as the tenant lives: by what it is found again, and
no secret of it. So a repeated request is answered with the same thing, its secret apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.access import Access
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.lifecycle.models import IdempotencyKey as Row

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=150,
        description="Names this request: sent again with the same key, it makes nothing twice. A secret is "
        "shown by the first answer alone.",
    ),
]


class Once:
    """One creating request, in the caller's session on the registry."""

    def __init__(
        self, core: Session, access: Access, operation: str, key: str | None, asked: Mapping[str, Any]
    ) -> None:
        """Take the key; another request with the same one waits until the caller's transaction ends.

        A key is good for whoever chose it. Raises `InvalidInput` for an unusable key, `Conflict` when it was
        used for something else.
        """
        if key is not None and not (key and key.isascii() and key.isprintable()):
            raise InvalidInput("Idempotency-Key", "use 1 to 150 printable ASCII characters")
        self._core = core
        # The tenant's id is in it: an erasure finds by it what is the tenant's.
        self._scope = f"{access.context.id}/{access.subject}/{operation}"
        self._key = key
        self.made: dict[str, Any] | None = None
        """What `keep` was given by the first request; None when this is the first."""
        if key is not None:
            self._take(hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).digest())

    def keep(self, made: Mapping[str, Any]) -> None:
        """By what the thing is found again that the caller made; no secret."""
        if self._key is not None:
            row = update(Row).where(Row.scope == self._scope, Row.key == self._key)
            self._core.execute(row.values(body=dict(made)))

    def _take(self, digest: bytes) -> None:
        row = insert(Row).values(scope=self._scope, key=self._key, request_digest=digest)
        if self._core.scalar(row.on_conflict_do_nothing().returning(Row.key)) is not None:
            return
        found = self._core.get_one(Row, (self._scope, self._key))
        if found.request_digest != digest:
            raise Conflict(
                "the Idempotency-Key was used for another request: give each request a key of its own"
            )
        self.made = found.body
