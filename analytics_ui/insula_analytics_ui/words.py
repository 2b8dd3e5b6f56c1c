"""The words of the UI, in the language of the person at the screen.

English is written in the code, as `_("…")`; `locale/fr.po` has it in French. The catalogue is compiled when
it is first used, so that no compiled file could be older. Numbers and times follow the language as well.

The language of a piece of work is a context variable: the gate sets it for an HTTP request, `script.py` and
each fragment for a run of a page, and threads that are started for a page inherit it.
"""

from __future__ import annotations

import gettext as catalogues
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).with_name("locale")
LANGUAGES: Mapping[str, str] = {"en": "English", "fr": "Français"}
"""The languages there are, each by its own name."""

DEFAULT = "en"
_MINUS, _THIN_SPACE = "\u2212", "\u202f"

_spoken: ContextVar[str] = ContextVar("language", default=DEFAULT)


def _(text: str) -> str:
    """`text` in the language of this piece of work."""
    return _catalogue(language()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """The form of `one` and `many` that `number` takes."""
    return _catalogue(language()).ngettext(one, many, number)


def N_(text: str) -> str:  # noqa: N802 # the name by which gettext's tools know it
    """`text` as it is: marks it for the catalogue where it is written before anybody's language is known."""
    return text


def language() -> str:
    """The language of this piece of work: a key of `LANGUAGES`."""
    return _spoken.get()


def speak(chosen: str) -> None:
    """Use this language from here on, in this thread."""
    _spoken.set(chosen)


@contextmanager
def speaking(chosen: str) -> Iterator[None]:
    """Use this language in the block."""
    token = _spoken.set(chosen)
    try:
        yield
    finally:
        _spoken.reset(token)


def preferred(accepted: str | None) -> str:
    """The best language for an `Accept-Language` header (RFC 9110, 12.5.4)."""
    wishes: list[tuple[float, str]] = []
    for part in (accepted or "").split(","):
        name, _separator, weight = part.partition(";q=")
        try:
            wishes.append((-float(weight or 1), name.strip()))
        except ValueError:
            continue
    # Sorting is stable: of two that are liked as well, the first.
    wished = [name for weight, name in sorted(wishes, key=lambda wish: wish[0]) if weight]
    return negotiate_locale(wished, list(LANGUAGES), sep="-") or DEFAULT


def number_text(value: float, decimals: int) -> str:
    """A number as people write it in their language: `12 346`, `−3.2`, in French `−3,2`."""
    text = f"{round(value, decimals) + 0.0:,.{decimals}f}".replace(",", _THIN_SPACE).replace("-", _MINUS)
    return text.replace(".", ",") if language() == "fr" else text


def share_text(share: float) -> str:
    """A share of complete data: `99.9 %`. What lacks a little is not 100 %, so it is rounded down."""
    permille = int(share * 1000 + 1e-9)
    return f"{number_text(permille / 10, 0 if permille == 1000 else 1)}{_THIN_SPACE}%"


@cache
def _catalogue(chosen: str) -> catalogues.NullTranslations:
    path = LOCALE / f"{chosen}.po"
    if not path.exists():
        return catalogues.NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=chosen)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return catalogues.GNUTranslations(compiled)
