"""Names of a model's things in graphs: an IRI of their own, or one that is made of their id."""

from __future__ import annotations

import re

from sqlalchemy.orm import Session

from insula_tenants.errors import InvalidInput
from insula_tenants.names import slug_of

DEVICE_POINT = "point"
"""The kind, in keys, of a device's point that no model point names."""

_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f<>\"{}|^`\\]+")
_LONGEST = 1000


class Keys:
    """The keys that a tenant's things have, where they have no IRI: `urn:insula:{tenant}:{kind}:{id}`."""

    def __init__(self, session: Session) -> None:
        """Of the tenant that this session is on."""
        self.prefix = f"urn:insula:{slug_of(session.info['role'])}:"

    def key(self, kind: str, row_id: int, iri: str | None = None) -> str:
        """The IRI, or the key that is made of kind and id."""
        return iri or f"{self.prefix}{kind}:{row_id}"

    def is_own(self, key: str) -> bool:
        """Whether the key is one that this tenant makes: it is never kept as an IRI."""
        return key.startswith(self.prefix)

    def parse(self, key: str) -> tuple[str, int] | None:
        """The kind and the id that the key is made of; None for an IRI, and for another tenant's key."""
        kind, _, digits = key.removeprefix(self.prefix).partition(":")
        if not self.is_own(key) or not re.fullmatch(r"[1-9][0-9]{0,9}", digits):
            return None
        return kind, int(digits)


def check_iri(iri: str, *, field: str = "iri") -> str:
    """The IRI, absolute and short enough; `InvalidInput` for what is none (RFC 3987)."""
    if len(iri) > _LONGEST or not iri.isprintable() or not _IRI.fullmatch(iri):
        raise InvalidInput(
            field,
            f"{iri[:80]!r} is no IRI: give an absolute one of up to {_LONGEST} characters, such as "
            "https://example.com/forum#lobby",
        )
    return iri


def local_name(iri: str) -> str:
    """What follows the last `#`, `/` or `:`."""
    return re.split(r"[#/:]", iri)[-1] or iri
