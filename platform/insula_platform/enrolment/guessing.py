"""The brake on guessing claim codes and keys: the one that holds for passwords, by address."""

from __future__ import annotations

from fastapi import Request

from insula_platform.signin.attempts import Attempt
from insula_platform.state import Platform
from insula_tenants.broker import BrokerError
from insula_tenants.errors import Conflict, InsulaError, InvalidInput, TenantSuspended, TenantUnavailable
from insula_tenants.quotas import QuotaExceeded


class TooManyGuesses(InsulaError):
    """Too many codes or keys that are not good came from this address."""

    status = 429
    type = "too-many-guesses"

    def __init__(self, wait: int) -> None:
        """`wait` in seconds."""
        super().__init__(f"too many tries from this address: try again in {wait} s")
        self.headers = {"Retry-After": str(wait)}


PUBLIC_PROBLEMS = (
    InvalidInput,
    TenantSuspended,
    QuotaExceeded,
    Conflict,
    TooManyGuesses,
    TenantUnavailable,
    BrokerError,
)
"""What any route may answer that a device calls before it is known."""


def count_guess(platform: Platform, request: Request) -> None:
    """Count a try before it is judged, so that many at once are as many as one after the other.

    Raises `TooManyGuesses`.
    """
    with platform.databases.core() as core:
        wait = Attempt(platform.settings, request, None).count(core)
    if wait:
        raise TooManyGuesses(wait)


def forgive_guess(platform: Platform, request: Request) -> None:
    """Take the count back: it was none."""
    with platform.databases.core() as core:
        Attempt(platform.settings, request, None).succeeded(core)
