"""People: accounts, and the role each has in the tenants they belong to."""

from insula_platform.people.memberships import (
    LastOwner,
    check_not_last_owner,
    locked_member,
    place_member,
    remove_member,
)
from insula_platform.people.models import Account, Membership
from insula_platform.people.service import (
    Member,
    add_member,
    check_password,
    create_account,
    member_of,
    memberships_of,
)

__all__ = [
    "Account",
    "LastOwner",
    "Member",
    "Membership",
    "add_member",
    "check_not_last_owner",
    "check_password",
    "create_account",
    "locked_member",
    "member_of",
    "memberships_of",
    "place_member",
    "remove_member",
]
