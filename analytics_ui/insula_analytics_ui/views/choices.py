"""Choices within a page: one of a few, beside one another. What is chosen is in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from insula_analytics_ui.views.elements import write


def choose(name: str, options: Mapping[str, str], *, label: str, default: str | None = None) -> str:
    """One of `options`: how the address names each, and what people read.

    Where the address names none of them it is `default`, or else the first.
    """
    usual = default if default is not None and default in options else next(iter(options))
    chosen = asked(name, options, usual)
    key = f"choice {name}"
    st.session_state[key] = chosen
    st.segmented_control(
        label,
        list(options),
        format_func=lambda option: options[option],
        key=key,
        on_change=_chosen,
        args=(name,),
        label_visibility="collapsed",
    )
    return chosen


def choose_from_list(name: str, options: Mapping[str, str], *, label: str, default: str) -> str:
    """The same from a list that may be long."""
    chosen = asked(name, options, default)
    key = f"choice {name}"
    st.session_state[key] = chosen
    st.selectbox(
        label,
        list(options),
        format_func=lambda option: options[option],
        key=key,
        on_change=_chosen,
        args=(name,),
        label_visibility="collapsed",
        width=320,
    )
    return chosen


def asked(name: str, options: Mapping[str, str] | Sequence[str], default: str) -> str:
    """What the address names, where it is one of `options`."""
    found = st.query_params.get(name, "")
    return found if found in options else default


def _chosen(name: str) -> None:
    write({name: st.session_state.get(f"choice {name}")})
