"""Make links, send them, and take them once. All functions work in the caller's session on the registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_platform.email_links.models import EmailLink
from insula_platform.mail import Letter, enqueue
from insula_platform.oauth.models import fingerprint, new_secret
from insula_platform.people import Account
from insula_tenants.errors import InsulaError


class Purpose(StrEnum):
    """What a link is for."""

    VERIFY = "verify"
    """To show that the account's address is the person's."""
    CHANGE = "change"
    """To give the account this address."""
    RESET = "reset"
    """To choose a new password."""


LIFETIMES = {
    Purpose.VERIFY: timedelta(hours=24),
    Purpose.CHANGE: timedelta(hours=1),
    Purpose.RESET: timedelta(minutes=30),
}


class DeadLink(InsulaError):
    """The link is unknown, was used, or has expired."""

    status = 404
    type = "dead-link"


def send_verification(core: Session, public_url: str, account: Account) -> None:
    """Ask whoever reads the account's address whether it is theirs."""
    token = _make(core, account, Purpose.VERIFY, account.email)
    _send(
        core,
        account.email,
        Purpose.VERIFY,
        "Confirm your e-mail address at Insula",
        "this address belongs to an account at Insula. Confirm that it is yours:",
        f"{public_url}/confirm-email#{token}",
        "Nothing to do with you? Then leave this letter alone: without you the address stays unconfirmed.",
    )


def send_change(core: Session, public_url: str, account: Account, email: str) -> None:
    """Ask whoever reads the new address whether the account may have it."""
    token = _make(core, account, Purpose.CHANGE, email)
    _send(
        core,
        email,
        Purpose.CHANGE,
        "Your new e-mail address at Insula",
        "an account at Insula is to have this address from now on. Confirm that it is yours:",
        f"{public_url}/confirm-email#{token}",
        "Nothing to do with you? Then leave this letter alone, and nothing changes.",
    )


def send_reset(core: Session, public_url: str, account: Account) -> None:
    """Let whoever reads the account's address choose a new password."""
    token = _make(core, account, Purpose.RESET, account.email)
    _send(
        core,
        account.email,
        Purpose.RESET,
        "Choose a new password at Insula",
        "somebody, probably you, has forgotten the password of your account at Insula. Choose a new one:",
        f"{public_url}/reset/password#{token}",
        "It was not you? Then leave this letter alone, and your password stays what it is.",
    )


def take(core: Session, token: str, *purposes: Purpose) -> EmailLink:
    """The link of this token, used up. Raises `DeadLink`."""
    used = (
        delete(EmailLink)
        .where(
            EmailLink.token_hash == fingerprint(token.strip()),
            EmailLink.purpose.in_(purposes),
            EmailLink.expires_at > datetime.now(UTC),
        )
        .returning(EmailLink)
    )
    link: EmailLink | None = core.scalar(used)
    if link is None:
        raise DeadLink("It is unknown, was used, or has expired.")
    return link


def forget(core: Session, account_id: UUID) -> None:
    """Void all links of the account: what they were sent for is no longer so."""
    core.execute(delete(EmailLink).where(EmailLink.account_id == account_id))


def account_of(core: Session, email: str) -> Account | None:
    """The account of this address."""
    return core.scalar(select(Account).where(Account.email == email))


def _make(core: Session, account: Account, purpose: Purpose, email: str) -> str:
    token = new_secret()
    core.execute(delete(EmailLink).where(EmailLink.account_id == account.id, EmailLink.purpose == purpose))
    core.add(
        EmailLink(
            token_hash=fingerprint(token),
            account_id=account.id,
            purpose=purpose,
            email=email,
            expires_at=datetime.now(UTC) + LIFETIMES[purpose],
        )
    )
    return token


def _send(
    core: Session, to: str, purpose: Purpose, subject: str, reason: str, link: str, otherwise: str
) -> None:
    lifetime = LIFETIMES[purpose]
    minutes = int(lifetime.total_seconds() // 60)
    span = f"{minutes // 60} hours" if minutes > 60 else f"{minutes} minutes"
    body = f"Hello,\n\n{reason}\n\n{link}\n\nThe link works once, within {span}. {otherwise}\n"
    enqueue(core, Letter(to, subject, body, lifetime))
