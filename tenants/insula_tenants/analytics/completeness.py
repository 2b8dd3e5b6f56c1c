"""How much of what was expected is there: every analytic answer says so of the data it rests on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Completeness:
    """Readings of some points in a period."""

    expected: int
    """Readings that should be there, by the points' expected intervals; 0 where nobody said any."""
    present: int
    """Readings that are there, at most as many as are expected of each point."""

    @property
    def share(self) -> float | None:
        """Between 0 and 1; None where nothing was expected."""
        return self.present / self.expected if self.expected else None
