"""The two cookies of this server: one stands for a session, one for a sign-in that is under way."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from insula_analytics_ui.settings import UiSettings

SIGN_IN_SECONDS = 600
"""How long a person may take at the provider's sign-in page."""


def is_secure(settings: UiSettings) -> bool:
    """Whether browsers reach this UI by HTTPS."""
    return settings.ui_url.startswith("https://")


def session_cookie(settings: UiSettings) -> str:
    """The session cookie's name; by HTTPS with the prefix that binds it to this very host."""
    return "__Host-insula-ui" if is_secure(settings) else "insula-ui"


def sign_in_cookie(state: str) -> str:
    """The name of the cookie of one sign-in, so that two tabs can sign in at once."""
    return f"insula-ui-sign-in-{state[:16]}"


def cookie_value(scope: Scope, name: str) -> str | None:
    """One cookie of a request, if it is there exactly once."""
    found = set()
    for header in Headers(scope=scope).getlist("cookie"):
        for part in header.split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                found.add(value)
    return found.pop() if len(found) == 1 else None
