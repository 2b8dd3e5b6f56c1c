"""Which storage engines a run has used. The hooks in `tests/conftest.py` print it at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

_used: defaultdict[str, set[str]] = defaultdict(set)


def used(engine: str, parts: Iterable[str] = ()) -> None:
    """Note that tests ran on this engine; `parts` say what alone ran there, when it was not everything."""
    _used[engine].update(parts)


def handed_over() -> dict[str, list[str]]:
    """What was noted, for the process of pytest-xdist that prints."""
    return {engine: sorted(parts) for engine, parts in _used.items()}


def take_over(noted: Mapping[str, list[str]]) -> None:
    """Add what another process has noted."""
    for engine, parts in noted.items():
        used(engine, parts)


def summary() -> str | None:
    """One line, or None when no test needed an engine."""
    told = [
        f"{engine}: {', '.join(sorted(parts))}" if parts else engine
        for engine, parts in sorted(_used.items())
    ]
    return f"storage engines: {'; '.join(told)}" if told else None
