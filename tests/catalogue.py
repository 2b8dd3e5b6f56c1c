"""Bring the analytics UI's catalogue up to date with the texts in its code: `python -m tests.catalogue`.

Translations are kept; what the code no longer says goes; what is new is left empty, and a test fails until
somebody has translated it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).resolve().parents[1] / "analytics_ui" / "insula_analytics_ui"
CATALOGUE = PACKAGE / "locale" / "fr.po"
FUNCTIONS = {"_": 1, "N_": 1, "ngettext": 2}
"""The functions that mark a text, and how many texts each takes."""

Message = str | tuple[str, str]


def texts() -> set[Message]:
    """Every text that the code marks; of `ngettext`, both forms.

    By the syntax tree, which sees into f-strings: Babel's own extraction does not before Python 3.12.
    """
    return {text for path in sorted(PACKAGE.rglob("*.py")) for text in _marked(ast.parse(path.read_text()))}


def _marked(tree: ast.AST) -> Iterator[Message]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        count = FUNCTIONS.get(node.func.id)
        found = [
            each.value
            for each in node.args[:count]
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        if count and len(found) == count:
            yield found[0] if count == 1 else (found[0], found[1])


def read() -> Catalog:
    """The catalogue as it is."""
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="fr")


def write() -> None:
    """The catalogue anew, in alphabetical order, so that changes of two people seldom touch one line."""
    old = {message.id: message for message in read()} if CATALOGUE.exists() else {}
    new = Catalog(locale="fr", header_comment="# The analytics UI in French.", charset="utf-8", fuzzy=False)
    for text in texts():
        kept = old.get(text)
        new.add(text, kept.string if kept else None)
    with CATALOGUE.open("wb") as file:
        write_po(file, new, sort_output=True, width=110, omit_header=False)
    kept_head = [
        line
        for line in CATALOGUE.read_text().splitlines()
        if not line.startswith(('"POT-Creation', '"PO-Revision', '"Generated-By', '"Project-Id', '"Report-M'))
        and not line.startswith(('"Last-Trans', '"Language-Team'))
    ]
    CATALOGUE.write_text("\n".join(kept_head).rstrip() + "\n")


if __name__ == "__main__":
    write()
