"""From the bytes of a file to a graph, and to JSON: what is too large, too deep or no text is refused here.

Nothing is fetched: contexts of JSON-LD must stand in the file, and `owl:imports` are not followed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Literal

from rdflib import Graph
from rdflib.plugins.parsers.jsonld import to_rdf
from rdflib.plugins.parsers.notation3 import BadSyntax
from rdflib.plugins.stores.memory import Memory

from insula_tenants.errors import InsulaError, InvalidInput

GraphFormat = Literal["turtle", "json-ld"]

MOST_BYTES = 8 * 1024 * 1024
MOST_STATEMENTS = 150_000
"""A building of 1 700 things says 3 800."""
MOST_DEPTH = 64
"""Objects in objects, of JSON."""

BASE = "https://relative.invalid/"
"""What relative IRIs become, to be told from absolute ones: a thing must keep its name."""

# What it says of IRIs that are none is told here in problems.
logging.getLogger("rdflib.term").setLevel(logging.ERROR)

_REMOTE = "a context that stands elsewhere is not fetched: put its terms into the file"


class FileTooLarge(InsulaError):
    """The file is larger than what is taken at a time."""

    status = 413
    type = "file-too-large"


def read_graph(content: bytes, form: GraphFormat) -> Graph:
    """The graph that a file of Turtle or JSON-LD says.

    Raises `InvalidInput` that names the line, or what else is to blame; `FileTooLarge`.
    """
    text = decode(content)
    store = _Bounded()
    try:
        if form == "json-ld":
            # A graph that is no data set: what JSON-LD says to stand in graphs of their own is read as one.
            to_rdf(_without_remote_contexts(load_json(text)), Graph(store=store), base=BASE)
        else:
            Graph(store=store).parse(data=text, format=form, publicID=BASE)
    except BadSyntax as error:
        raise InvalidInput("body", _syntax_error(error)) from None
    except RecursionError:
        raise InvalidInput("body", "it is nested too deeply: give the things IRIs of their own") from None
    except InsulaError:
        raise
    except Exception as error:  # noqa: BLE001 - the parsers raise whatever their own code trips over
        raise InvalidInput("body", f"this is no {form}: {_one_line(error)}") from None
    graph = Graph(bind_namespaces="none")
    for triple, _ in store.triples((None, None, None)):
        for term in triple:
            _check_text(str(term))
        graph.add(triple)
    return graph


def decode(content: bytes) -> str:
    """The text of a file in UTF-8; `InvalidInput` names the byte that is none."""
    if len(content) > MOST_BYTES:
        raise FileTooLarge(f"a file has at most {MOST_BYTES} bytes: send it in parts")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            "body", f"line {line}, byte {error.start} is no UTF-8: save the file as UTF-8"
        ) from None


def load_json(text: str) -> Any:
    """The JSON of a text; `InvalidInput` names the line."""
    try:
        given = json.loads(text)
    except RecursionError:
        raise InvalidInput("body", f"it is nested deeper than {MOST_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidInput("body", f"line {error.lineno}: this is no JSON: {error.msg}") from None
    except ValueError as error:
        raise InvalidInput("body", f"this is no JSON: {_one_line(error)}") from None
    for _ in _objects(given):
        pass
    _check_text(json.dumps(given, ensure_ascii=False))
    return given


def _check_text(text: str) -> None:
    """`InvalidInput` for what an escape can say and no UTF-8 can: nobody could be answered with it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        raise InvalidInput("body", f"{half} is no character: leave the escape out") from None


def _objects(given: Any) -> Iterator[dict[str, Any]]:
    """Each object in it, at whatever depth up to `MOST_DEPTH`."""
    ahead = [(given, 0)]
    while ahead:
        value, depth = ahead.pop()
        if depth > MOST_DEPTH:
            raise InvalidInput("body", f"it is nested deeper than {MOST_DEPTH} levels")
        if isinstance(value, dict):
            yield value
            ahead += ((each, depth + 1) for each in value.values())
        elif isinstance(value, list):
            ahead += ((each, depth + 1) for each in value)


def _without_remote_contexts(given: Any) -> Any:
    """The same; `InvalidInput` when a context, at whatever depth, is named by its address."""
    for each in _objects(given):
        for context in _listed(each.get("@context")):
            if isinstance(context, str):
                raise InvalidInput("@context", f"{context[:200]!r}: {_REMOTE}")
        if "@import" in each:
            raise InvalidInput("@import", f"{str(each['@import'])[:200]!r}: {_REMOTE}")
    return given


def _listed(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _listed(each)
    else:
        yield value


def _syntax_error(error: BadSyntax) -> str:
    # Its text quotes what stands around the place; `lines` is counted from 0.
    why = _one_line(error._why)
    return f"line {error.lines + 1}: {why}"


def _one_line(error: object) -> str:
    return re.sub(r"\s+", " ", str(error))[:300]


class _Bounded(Memory):
    """A store that holds no more than it may."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def add(self, triple: Any, context: Any, quoted: bool = False) -> None:
        self._count += 1
        if self._count > MOST_STATEMENTS:
            raise InvalidInput("body", f"there are more than {MOST_STATEMENTS} statements: send it in parts")
        super().add(triple, context, quoted)
