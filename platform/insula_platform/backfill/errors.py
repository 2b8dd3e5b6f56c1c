"""What can end a backfill before its body does.

::

    InsulaError
    └── CutOff              the answer says how far it came: `stored`, `rejected`, `last_row`
        ├── Unreadable      422  invalid-input      what follows cannot be told apart into rows
        ├── BodyTooLarge    413  too-large
        ├── Stalled         408  timeout            the client sends nothing any more
        ├── StoreAway       503  database-away
        └── ClosedMeanwhile 403  tenant-suspended, tenant-deleting, access-ended
    UnknownFormat           415  unsupported-media-type
    TooManyUploads          429  too-many-uploads
"""

from __future__ import annotations

from insula_tenants.errors import InsulaError, TenantClosed


class CutOff(InsulaError):
    """The upload was cut off."""

    def __init__(self, detail: str) -> None:
        """`detail` says what happened; how far it came is told by `came_to`."""
        super().__init__(detail)
        self.members: dict[str, int] = {}

    def came_to(self, *, stored: int, rejected: int, last_row: int) -> None:
        """Note how far it came: every row up to `last_row` is stored, or was rejected."""
        self.members = {"stored": stored, "rejected": rejected, "last_row": last_row}
        self.args = (
            f"{self.args[0]}; {stored} rows are stored, all good ones up to row {last_row}. Sending the same "
            "again is safe: a reading that is there is not stored twice",
        )


class Unreadable(CutOff):
    """The body is not what its media type says."""

    status = 422
    type = "invalid-input"


class BodyTooLarge(CutOff):
    """The body is larger than is taken at a time."""

    status = 413
    type = "too-large"


class Stalled(CutOff):
    """The body did not arrive."""

    status = 408
    type = "timeout"


class StoreAway(CutOff):
    """The database does not answer."""

    status = 503
    type = "database-away"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - the shape that `problems` reads


class ClosedMeanwhile(CutOff):
    """Nothing may be stored here any more."""

    status = TenantClosed.status

    def __init__(self, closed: InsulaError) -> None:
        """`closed` is why."""
        super().__init__(closed.detail)
        self.type, self.status = closed.type, closed.status


class UnknownFormat(InsulaError):
    """No readings can be read from a body of this kind."""

    status = 415
    type = "unsupported-media-type"


class TooManyUploads(InsulaError):
    """As many uploads as are taken at a time are under way."""

    status = 429
    type = "too-many-uploads"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - the shape that `problems` reads
