"""The classes of the Brick ontology by their local names, such as `Conference_Room`.

`classes.txt` has a class a line, followed by those that it is a kind of; two that mean the same (`AHU`,
`Air_Handling_Unit`) are each a kind of the other. It is made from the ontology that brickschema carries,
whose Turtle takes seconds to parse: `INSULA_WRITE_CLASSES=1 pytest tests/tenants/test_brick_classes.py`
writes it, and without the variable that test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from functools import cache
from heapq import nlargest
from importlib.resources import files

from insula_tenants.errors import InvalidInput

VERSION = "1.5"
"""Of the ontology, as brickschema names it: `Graph(load_brick=True, brick_version=VERSION)`."""

NAMESPACE = "https://brickschema.org/schema/Brick#"

_ALIKE = 0.6
"""Share of two names' letters that must match, in order, for one to be meant by the other."""


def is_class(name: str) -> bool:
    """Whether the ontology has a class of this local name."""
    return name in _parents()


def is_subclass(name: str, of: str) -> bool:
    """Whether the class is `of`, means the same, or is a kind of it. A name that is no class is nothing's."""
    return is_class(name) and of in _ancestors(name)


def kinds_of(name: str) -> frozenset[str]:
    """The class of this name, however it is written (see `nearest`), and all kinds of it."""
    meant = next((each for each in _parents() if _letters(each) == _letters(name)), None)
    return frozenset(each for each in _parents() if meant is not None and is_subclass(each, meant))


def nearest(name: str, *, of: tuple[str, ...] = (), most: int = 3) -> list[str]:
    """Classes whose names are like this one, the most alike first; with `of` only kinds of these.

    Case, blanks, hyphens and underscores make no difference: `conference room` is `Conference_Room`.
    """
    wanted = SequenceMatcher(b=_letters(name[:100]), autojunk=False)
    found = []
    for each in _parents():
        if of and not any(is_subclass(each, root) for root in of):
            continue
        wanted.set_seq1(_letters(each))
        if wanted.real_quick_ratio() >= _ALIKE and wanted.quick_ratio() >= _ALIKE:
            found.append((wanted.ratio(), each))
    # Of names that are as much alike the first by the alphabet.
    best = nlargest(most, sorted(found, key=lambda one: one[1]), key=lambda one: one[0])
    return [each for alike, each in best if alike >= _ALIKE]


def check_class(name: str, *, of: tuple[str, ...], field: str = "brick_class") -> str:
    """The name, where it is that of a class which is a kind of one of `of`.

    Any other is `InvalidInput`, of `field`, which names the nearest.
    """
    if any(is_subclass(name, root) for root in of):
        return name
    kinds = " or ".join(of)
    what = f"no kind of {kinds}" if is_class(name) else f"no class of Brick {VERSION}"
    alike = nearest(name, of=of)
    fix = f"did you mean {', '.join(alike)}?" if alike else f"use {kinds}, or a kind of it"
    raise InvalidInput(field, f"{name[:80]!r} is {what}: {fix}")


def read_classes() -> str:
    """The text of `classes.txt`."""
    return (files(__package__) / "classes.txt").read_text(encoding="ascii")


@cache
def _parents() -> Mapping[str, tuple[str, ...]]:
    lines = (line.split() for line in read_classes().splitlines())
    return {name: tuple(parents) for name, *parents in lines}


@cache
def _ancestors(name: str) -> frozenset[str]:
    """The class itself among them. Equivalent classes go in a circle."""
    found = {name}
    ahead = [name]
    while ahead:
        new = set(_parents()[ahead.pop()]) - found
        found |= new
        ahead += new
    return frozenset(found)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
