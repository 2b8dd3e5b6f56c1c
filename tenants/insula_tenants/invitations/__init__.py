"""Invitations: how people come into a tenant."""

from insula_tenants.invitations.models import Invitation
from insula_tenants.invitations.service import (
    LIFETIME,
    check_email,
    invite,
    open_invitation,
    renew_token,
    token_hash,
)

__all__ = ["LIFETIME", "Invitation", "check_email", "invite", "open_invitation", "renew_token", "token_hash"]
