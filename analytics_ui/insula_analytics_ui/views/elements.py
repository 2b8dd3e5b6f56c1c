"""Small pieces that pages share: states, empty pages, errors. All text from outside is escaped here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TypeVar

import streamlit as st

from insula_analytics_ui.errors import SessionEnded, UiError
from insula_analytics_ui.freshness import State
from insula_analytics_ui.sessions import Session

T = TypeVar("T")


def dot(state: State) -> str:
    """HTML of a state: its dot and its word."""
    return f'<span class="in-dot in-{state.rank}" style="color:{state.colour}"></span> {escape(state.word)}'


def plain(text: str) -> str:
    """Markdown that shows `text` as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:<>^=])", r"\\\1", text)


def empty(what: str, todo: str, *, link: str, url: str) -> None:
    """What this page will show, and the one thing to do to get there."""
    st.html(
        f'<div class="in-empty"><strong>{escape(what)}</strong><p class="in-quiet">{escape(todo)}</p>'
        f'<a href="{escape(url)}" target="_self">{escape(link)}</a></div>'
    )


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show a `UiError` of the block as a sentence in its place."""
    try:
        yield
    except SessionEnded as error:
        empty(error.what, error.todo, link="Sign in", url="/auth/login")
    except UiError as error:
        st.warning(f"**{plain(error.what)}** {plain(error.todo)}", icon=":material/cloud_off:")


def remembered(session: Session, name: str, seconds: float, load: Callable[[], T]) -> T:
    """What `load` gave to this page of this session at most `seconds` ago; it goes when the page goes."""
    kept = st.session_state.get(f"remembered {name}")
    if kept and kept[0] == session.key and time.monotonic() - kept[1] < seconds:
        value: T = kept[2]
        return value
    fresh = load()
    st.session_state[f"remembered {name}"] = (session.key, time.monotonic(), fresh)
    return fresh
