"""How many uploads a process takes at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from insula_platform.backfill.errors import TooManyUploads

AT_ONCE = 4
"""Uploads that a process takes at a time: each holds a thread and a connection."""
AT_ONCE_OF_A_TENANT = 2


class Uploads:
    """The uploads that this process has under way. Used in the event loop alone."""

    def __init__(self) -> None:
        """None are."""
        self._of: Counter[str] = Counter()

    @contextmanager
    def one_more(self, tenant: str) -> Iterator[None]:
        """A place for one more of this tenant; `TooManyUploads` when there is none."""
        if self._of[tenant] >= AT_ONCE_OF_A_TENANT or self._of.total() >= AT_ONCE:
            raise TooManyUploads("other uploads are under way: send this one when they are done")
        self._of[tenant] += 1
        try:
            yield
        finally:
            self._of[tenant] -= 1
            self._of = +self._of  # without those at zero
