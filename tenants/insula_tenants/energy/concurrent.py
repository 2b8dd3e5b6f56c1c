"""Two changes at the same moment that cannot both be: the second is told so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from insula_tenants.errors import Conflict


@contextmanager
def first_come_first_served() -> Iterator[None]:
    """`Conflict` where the database refuses what was checked before: somebody was quicker."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict("somebody changed the same at this moment: look again, and repeat") from error
