"""What can go wrong on the way to the platform, in words for the person at the screen.

UiError
├── SignInRefused     the sign-in did not end with a token that can be trusted
├── SessionEnded      there is no session, or the platform no longer renews it
├── PlatformAway      the platform did not answer
└── ApiRefused        the platform answered, and said no
"""

from __future__ import annotations

from insula_analytics_ui.words import _


class UiError(Exception):
    """`what` happened, and what `todo` about it: two plain sentences."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what} {todo}")
        self.what = what
        self.todo = todo


class SignInRefused(UiError):
    """The sign-in did not end with a token that can be trusted; `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(_("You could not be signed in."), _("Start again from the beginning."))
        self.reason = reason


class SessionEnded(UiError):
    """There is no session, or the platform no longer renews it."""

    def __init__(self) -> None:
        super().__init__(_("Your session has ended."), _("Sign in again to go on where you were."))


class PlatformAway(UiError):
    """The platform did not answer in time, or not at all."""

    def __init__(self) -> None:
        super().__init__(
            _("The platform does not answer just now."),
            _("This page tries again by itself; nothing is lost."),
        )


class ApiRefused(UiError):
    """The platform answered with an error of this HTTP `status`."""

    def __init__(self, status: int, what: str, todo: str) -> None:
        super().__init__(what, todo)
        self.status = status
