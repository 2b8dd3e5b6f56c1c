"""Scopes in words for the person whom a program asks."""

from __future__ import annotations

from collections.abc import Iterable

from insula_platform.oauth.scopes import API_SCOPES

_OF_YOU = {
    "openid": "Know which account is yours, and your role",
    "profile": "Know your name",
    "email": "Know your e-mail address",
}


def in_words(scope: Iterable[str]) -> list[str]:
    """What each scope lets a program do, in the order of the scopes."""
    words = _OF_YOU | API_SCOPES
    return [words.get(name, name) for name in scope]
