"""Proof that a form came from a page of ours (CSRF): a random cookie, and its HMAC in the form.

Another site can neither read the cookie nor compute the HMAC, and there need be no session yet.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from fastapi import Request

from insula_platform.oauth.keys import derive_key
from insula_platform.oauth.models import new_secret
from insula_platform.settings import PlatformSettings
from insula_platform.signin.sessions import cookie_name

COOKIE = "form"
LIFETIME = 3600
"""Seconds a form stays good."""

RETURN_TO = frozenset(
    {"/oauth/authorize", "/account", "/account/password", "/account/factors", "/account/sessions"}
)
"""The pages that one comes back to after signing in."""


def form_secret(settings: PlatformSettings, request: Request) -> str:
    """The browser's form cookie, or a new value for it."""
    return request.cookies.get(cookie_name(settings, COOKIE)) or new_secret()


def form_token(settings: PlatformSettings, secret: str) -> str:
    """What the form carries for this cookie."""
    return hmac.digest(derive_key(settings.secret_key, "forms"), secret.encode(), "sha256").hex()


def is_own_form(settings: PlatformSettings, request: Request, token: str | None) -> bool:
    """Whether the posted token belongs to the browser's form cookie."""
    secret = request.cookies.get(cookie_name(settings, COOKIE))
    if not secret or not token or not token.isascii():
        return False
    return hmac.compare_digest(form_token(settings, secret), token)


def own_return_to(value: str | None) -> str | None:
    """`value` when it leads to one of our own pages that need a sign-in, else None: no open redirect."""
    if not value or "\\" in value or not value.isprintable() or not value.isascii():
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or parts.path not in RETURN_TO:
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
