"""What a sign-in must remember until its browser comes back: in a sealed cookie of that browser, one each.

So nobody fills our memory without an account, two tabs can sign in at once, and an answer that was made in
another browser finds no cookie (login CSRF).
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from fastapi import Request, Response

from insula_platform.federation.errors import SignInRefused
from insula_platform.federation.provider import Attempt
from insula_platform.oauth.keys import derive_key
from insula_platform.oauth.models import new_secret
from insula_platform.settings import PlatformSettings
from insula_platform.signin.sessions import cookie_name, set_cookie

LIFETIME = timedelta(minutes=10)


class Remembered(NamedTuple):
    """One sign-in: where, with which secrets, and where to go then."""

    slug: str
    issuer: str
    attempt: Attempt
    return_to: str


def begin(slug: str, issuer: str, return_to: str) -> Remembered:
    """A new sign-in at a tenant's provider."""
    return Remembered(slug, issuer, Attempt(new_secret(), new_secret(), new_secret()), return_to)


def remember(response: Response, settings: PlatformSettings, remembered: Remembered) -> None:
    """Give the browser the cookie."""
    sealed = _seal(settings).encrypt(json.dumps(remembered).encode()).decode()
    set_cookie(response, settings, _cookie(remembered.attempt.state), sealed, int(LIFETIME.total_seconds()))


def recall(request: Request, settings: PlatformSettings, slug: str, state: str) -> Remembered:
    """What this browser remembers of the sign-in; `SignInRefused` when it began none like that here."""
    sealed = request.cookies.get(cookie_name(settings, _cookie(state)), "")
    try:
        said = json.loads(_seal(settings).decrypt(sealed.encode(), ttl=int(LIFETIME.total_seconds())))
        remembered = Remembered(said[0], said[1], Attempt(*said[2]), said[3])
    except (InvalidToken, ValueError):
        remembered = None
    if remembered is None or remembered.slug != slug or remembered.attempt.state != state:
        raise SignInRefused("no-attempt", "This browser did not begin this sign-in, or too long ago.")
    return remembered


def forget(response: Response, settings: PlatformSettings, state: str) -> None:
    """Take the cookie back."""
    set_cookie(response, settings, _cookie(state), "", 0)


def _cookie(state: str) -> str:
    return f"sso_{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def _seal(settings: PlatformSettings) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive_key(settings.secret_key, "single sign-on attempts")))
