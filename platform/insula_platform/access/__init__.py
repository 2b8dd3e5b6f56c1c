"""Who may do what: access tokens, the scopes that routes want, and the spaces that a grant covers."""

from insula_platform.access.requests import (
    Access,
    InsufficientScope,
    NotAuthenticated,
    OperatorAccess,
    Requires,
    RequiresOperator,
    authenticate,
    bearer_token,
)
from insula_platform.access.spaces import check_device, check_space, check_whole_tenant, visible_spaces

__all__ = [
    "Access",
    "InsufficientScope",
    "NotAuthenticated",
    "OperatorAccess",
    "Requires",
    "RequiresOperator",
    "authenticate",
    "bearer_token",
    "check_device",
    "check_space",
    "check_whole_tenant",
    "visible_spaces",
]
