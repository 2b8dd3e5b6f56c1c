"""What can go wrong, as one tree. Each error carries the HTTP status and the stable problem type it maps to.

::

    InsulaError                       500  internal-error
    ├── NotFound                      404  not-found      (also "not yours": the two look alike)
    ├── Conflict                      409  conflict
    │   └── TakesAlong                409  takes-along  (in `building_model`; says what would go)
    ├── InvalidInput                  422  invalid-input  (names the field and the fix)
    │   └── RawDropped                422  raw-dropped
    ├── NotAllowed                    403  not-allowed
    │   ├── QuotaExceeded             403  quota-exceeded  (in `quotas`; names quota, limit and use)
    │   └── TenantClosed
    │       ├── TenantSuspended       403  tenant-suspended
    │       └── TenantDeleting        403  tenant-deleting
    ├── TenantUnavailable             503  tenant-unavailable
    ├── PreconditionFailed            412  precondition-failed
    └── ConfigurationError            500  configuration-error
        └── NoRole                         a session without a tenant
"""

from __future__ import annotations


class InsulaError(Exception):
    """Something went wrong inside Insula."""

    status = 500
    type = "internal-error"

    @property
    def title(self) -> str:
        """A short sentence that is the same for every error of this type: the class's docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

    @property
    def detail(self) -> str:
        """What happened this time."""
        return str(self.args[0]) if self.args else self.title


class NotFound(InsulaError):
    """There is no such thing here."""

    status = 404
    type = "not-found"


class Conflict(InsulaError):
    """The request does not fit the present state."""

    status = 409
    type = "conflict"


class PreconditionFailed(InsulaError):
    """It was changed since it was read."""

    status = 412
    type = "precondition-failed"


class InvalidInput(InsulaError):
    """A value cannot be used as given."""

    status = 422
    type = "invalid-input"

    def __init__(self, field: str, detail: str) -> None:
        """`field` is the name the caller used; `detail` says what is wrong and what would be right."""
        super().__init__(detail)
        self.field = field


class RawDropped(InvalidInput):
    """Raw readings that the question needs were dropped."""

    type = "raw-dropped"


class NotAllowed(InsulaError):
    """The credentials do not allow this."""

    status = 403
    type = "not-allowed"


class TenantClosed(NotAllowed):
    """The tenant is there, and closed to everybody."""


class TenantSuspended(TenantClosed):
    """The tenant is suspended."""

    type = "tenant-suspended"


class TenantDeleting(TenantClosed):
    """The tenant is being deleted."""

    type = "tenant-deleting"


class TenantUnavailable(InsulaError):
    """The tenant cannot be served by this release at the moment."""

    status = 503
    type = "tenant-unavailable"


class ConfigurationError(InsulaError):
    """Insula is not configured for this."""

    type = "configuration-error"


class NoRole(ConfigurationError):
    """A database session was used without a role: open it with Databases.core() or Databases.tenant()."""
