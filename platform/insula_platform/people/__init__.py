"""People: accounts, and the role each has in the tenants they belong to."""

from insula_platform.people.models import Account, Membership
from insula_platform.people.service import (
    Member,
    add_member,
    check_password,
    create_account,
    member_of,
    memberships_of,
    set_password,
)

__all__ = [
    "Account",
    "Member",
    "Membership",
    "add_member",
    "check_password",
    "create_account",
    "member_of",
    "memberships_of",
    "set_password",
]
