"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice acts once.

The key is kept in the transaction of what it names, for a day: a request that was cut off left neither.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_tenants.errors import Conflict
from insula_tenants.lifecycle import IdempotencyKey

KEPT_FOR = timedelta(days=1)

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=150,
        description="Names this request: sent again within a day with the same key, it makes nothing anew. A "
        "secret is not told a second time.",
    ),
]


def claim_key(core: Session, scope: str, key: str | None, request: Any) -> IdempotencyKey | None:
    """The key's row: new (`body` is None), or with what an earlier request noted there. None without a key.

    `scope` says whose key it is, with the tenant's id in it; `request` is what was asked, as JSON can say it.
    A request that is under way with the same key is waited for. Raises `Conflict` for a key that named
    something else.
    """
    if key is None:
        return None
    said = json.dumps(request, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(said).digest()
    core.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.scope == scope, IdempotencyKey.created_at < datetime.now(UTC) - KEPT_FOR
        )
    )
    row = insert(IdempotencyKey).values(scope=scope, key=key, request_digest=digest)
    core.execute(row.on_conflict_do_nothing())
    found = core.get_one(IdempotencyKey, (scope, key))
    if found.request_digest != digest:
        raise Conflict("this Idempotency-Key named another request: use a new one")
    return found
