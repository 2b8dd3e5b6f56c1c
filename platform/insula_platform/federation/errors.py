"""Why a sign-in at a tenant's provider leads nowhere: the person is told, and the tenant's audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from insula_tenants.errors import NotAllowed


class SignInRefused(NotAllowed):
    """Single sign-on did not succeed."""

    type = "sign-in-refused"

    def __init__(
        self, reason: str, detail: str, *, claim: str | None = None, received: Iterable[str] | None = None
    ) -> None:
        """`reason` is a word that stays the same; `received` are names of claims, never their values."""
        super().__init__(detail)
        self.reason = reason
        self.claim = claim
        self.received = sorted(name[:60] for name in received)[:40] if received is not None else None

    def told(self) -> dict[str, Any]:
        """For the audit log."""
        told: dict[str, Any] = {"reason": self.reason, "detail": self.detail}
        if self.claim is not None:
            told["claim"] = self.claim
        if self.received is not None:
            told["received"] = self.received
        return told
