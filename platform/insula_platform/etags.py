"""`ETag` and `If-Match` (RFC 9110, section 13.1.1): nobody overwrites a change that they have not seen."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Header

from insula_tenants.errors import PreconditionFailed

IfMatch = Annotated[
    str | None,
    Header(
        max_length=500,
        description="The `ETag` of what you saw: when it was changed since, nothing is done (412). "
        "Leave it out to overwrite whatever is there.",
    ),
]


def etag_of(value: Any) -> str:
    """A strong tag of something that JSON can say."""
    said = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return f'"{hashlib.sha256(said).hexdigest()[:32]}"'


def check_if_match(if_match: str | None, tag: str | None) -> None:
    """Whether a change may go on; `tag` is None when there is nothing yet. Raises `PreconditionFailed`."""
    if if_match is None:
        return
    given = {each.strip() for each in if_match.split(",")}
    if tag is None or (if_match.strip() != "*" and tag not in given):
        raise PreconditionFailed("it is not what the If-Match header names: read it again, then change it")
