"""Make invitations, and find them again."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_tenants.errors import InvalidInput
from insula_tenants.invitations.models import Invitation
from insula_tenants.spaces.places import Places

LIFETIME = timedelta(days=14)

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


def invite(
    core: Session,
    tenant_id: UUID,
    email: str,
    role: str,
    *,
    places: Places | None = None,
    invited_by: UUID | None = None,
) -> str:
    """Invite a person, in place of an open invitation they had; the token, which is shown this once.

    With `places` they will have the role there alone. `invited_by` is the account that invites, None for the
    operator and for programs. Raises `InvalidInput` for an unusable address.
    """
    address = check_email(email)
    core.execute(
        delete(Invitation).where(
            Invitation.tenant_id == tenant_id, Invitation.email == address, Invitation.accepted_at.is_(None)
        )
    )
    token = secrets.token_urlsafe(32)
    core.add(
        Invitation(
            tenant_id=tenant_id,
            email=address,
            role=role,
            places=places.told if places is not None else None,
            invited_by=invited_by,
            token_hash=token_hash(token),
            expires_at=datetime.now(UTC) + LIFETIME,
        )
    )
    core.flush()
    return token


def open_invitation(core: Session, token: str) -> Invitation | None:
    """The invitation with this token, locked until the transaction ends; None when it is no good any more."""
    return core.scalar(
        select(Invitation)
        .where(
            Invitation.token_hash == token_hash(token),
            Invitation.accepted_at.is_(None),
            Invitation.expires_at > datetime.now(UTC),
        )
        .with_for_update()
    )


def renew_token(invitation: Invitation) -> str:
    """Give the invitation another token and its whole life again; the link before is void."""
    token = secrets.token_urlsafe(32)
    invitation.token_hash = token_hash(token)
    invitation.expires_at = datetime.now(UTC) + LIFETIME
    return token


def token_hash(token: str) -> str:
    """The SHA-256 under which a token is kept: it has 256 random bits, so a fast hash protects it."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_email(email: str, *, field: str = "email") -> str:
    """The address in the form it is kept in; `InvalidInput` naming `field` when it is none."""
    address = email.strip().lower()
    if not (_EMAIL.fullmatch(address) and address.isprintable()):
        raise InvalidInput(field, "give an e-mail address like ada@example.com")
    return address
