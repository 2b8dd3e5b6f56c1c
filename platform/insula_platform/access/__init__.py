"""Who may do what: access tokens and API keys, the scopes that routes want, and the places a grant covers."""

from insula_platform.access.policy import can
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
from insula_platform.access.spaces import (
    check_device,
    check_space,
    check_whole_tenant,
    visible_spaces,
    visible_spaces_async,
)

__all__ = [
    "Access",
    "InsufficientScope",
    "NotAuthenticated",
    "OperatorAccess",
    "Requires",
    "RequiresOperator",
    "authenticate",
    "bearer_token",
    "can",
    "check_device",
    "check_space",
    "check_whole_tenant",
    "visible_spaces",
    "visible_spaces_async",
]
