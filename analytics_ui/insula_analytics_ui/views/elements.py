"""Small pieces that pages share: states, links, empty pages, errors. Text from outside is escaped here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TypeVar
from urllib.parse import urlencode

import streamlit as st

from insula_analytics_ui.errors import ApiRefused, PlatformAway, SessionEnded, UiError
from insula_analytics_ui.freshness import State
from insula_analytics_ui.sessions import Session
from insula_analytics_ui.words import _

T = TypeVar("T")

AGAIN_SECONDS = 5
"""After which a page that the platform did not answer asks again."""

KEPT = ("building", "storey", "space", "period", "from", "to", "lang")
"""What of an address goes along from page to page: the place, the period and the language."""


def dot(state: State) -> str:
    """HTML of a state: its dot and its word."""
    return mark(_(state.word), state.colour, state.rank)


def mark(word: str, colour: str, rank: int) -> str:
    """HTML of a dot of this colour and a word; the dot is filled (0), half (1) or empty (2)."""
    return f'<span class="in-dot in-{rank}" style="color:{colour}"></span> {escape(word)}'


def plain(text: str) -> str:
    """Markdown that shows `text` as it is.

    Addresses become links in spite of backslashes: a word joiner, which nobody sees, keeps them from it.
    """
    text = re.sub(r"(://|@|\bwww(?=\.))", "\\1\u2060", text, flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:<>^=])", r"\\\1", text)


def kept_query(**changes: str | int | None) -> dict[str, str]:
    """What goes along to another page, with changes; None takes something away."""
    query = {name: st.query_params[name] for name in KEPT if name in st.query_params}
    query |= {name: str(value) for name, value in changes.items() if value is not None}
    return {name: value for name, value in query.items() if changes.get(name, "") is not None}


def address(page: str, **changes: str | int | None) -> str:
    """The address of a page of ours, for the same place and period but for the changes."""
    query = urlencode(kept_query(**changes), safe=",/:")
    return f"/{page}?{query}" if query else f"/{page}"


def link(text: str, url: str, *, name: str = "") -> str:
    """HTML of a link to a page of ours; `name` keeps the focus on it through a refresh."""
    named = f' id="in-{escape(name)}"' if name else ""
    return f'<a class="in-go"{named} href="{escape(url)}" target="_self">{escape(text)}</a>'


def empty(what: str, todo: str, *, link: str, url: str) -> None:
    """What this page will show, and the one thing to do to get there."""
    soft = ' class="in-go"' if url.startswith("/") and not url.startswith("/auth/") else ""
    st.html(
        f'<div class="in-empty"><strong>{escape(what)}</strong><p class="in-quiet">{escape(todo)}</p>'
        f'<a{soft} href="{escape(url)}" target="_self">{escape(link)}</a></div>'
    )


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show a `UiError` of the block as a sentence in its place; the page tries again where it says so."""
    try:
        yield
    except SessionEnded as error:
        empty(error.what, error.todo, link=_("Sign in"), url="/auth/login")
    except UiError as error:
        st.warning(f"**{plain(error.what)}** {plain(error.todo)}", icon=":material/cloud_off:")
        if isinstance(error, PlatformAway) or (isinstance(error, ApiRefused) and error.status == 429):
            _again_soon()


def _again_soon() -> None:
    """Run the whole page anew in a while: what failed may stand outside its live part, or be seldom live."""
    waited = False

    def wait() -> None:
        nonlocal waited
        if waited:
            st.rerun()
        waited = True

    st.fragment(run_every=AGAIN_SECONDS)(wait)()


def remembered(session: Session, name: str, seconds: float, load: Callable[[], T]) -> T:
    """What `load` gave to this page of this session at most `seconds` ago; it goes when the page goes."""
    kept = st.session_state.get(f"remembered {name}")
    if kept and kept[0] == session.key and time.monotonic() - kept[1] < seconds:
        value: T = kept[2]
        return value
    fresh = load()
    st.session_state[f"remembered {name}"] = (session.key, time.monotonic(), fresh)
    return fresh


def write(values: Mapping[str, str | None]) -> None:
    """Put values into the address, which is what pages read; None takes one away."""
    for name, value in values.items():
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)
