"""Things that are part of each other in a circle."""

from __future__ import annotations

from insula_tenants.brick.statements import Statements
from insula_tenants.brick.vocabulary import Relation


def cut_circles(said: Statements, wholes: dict[str, list[str]]) -> None:
    """Take out of each thing's wholes what makes it part of itself, and tell it. Depth costs no stack."""
    done: set[str] = set()
    for start in sorted(wholes):
        path: list[tuple[str, list[str]]] = [(start, list(wholes[start]))]
        on_path = {start}
        while path:
            here, ahead = path[-1]
            if here in done or not ahead:
                done.add(here)
                on_path.discard(here)
                path.pop()
                continue
            whole = ahead.pop()
            if whole in on_path:
                wholes[here].remove(whole)
                said.tell(here, Relation.PART_OF, f"{whole} is part of it in turn: left out")
            elif whole in wholes:
                path.append((whole, list(wholes[whole])))
                on_path.add(whole)
