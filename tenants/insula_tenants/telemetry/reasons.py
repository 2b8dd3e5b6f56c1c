"""Why a reading or a message is not stored, and which times are plausible: the same at every entrance."""

from __future__ import annotations

from enum import StrEnum

EARLIEST = 946_684_800_000_000
"""2000-01-01 in microseconds: an earlier time is a clock that was never set."""

MAX_AHEAD = 86_400_000_000
"""One day in microseconds: a later time is a clock that runs wild."""


class Reason(StrEnum):
    """Why something could not be stored. The list is closed: people filter and alert by it."""

    MALFORMED = "malformed"
    """The payload is not what its format demands."""
    TOO_LARGE = "too_large"
    """The payload is larger than ingest takes."""
    BAD_SHAPE = "bad_shape"
    """Well-formed, but neither telemetry nor SenML."""
    BAD_TIME = "bad_time"
    """The time is neither milliseconds since the epoch nor RFC 3339."""
    IMPLAUSIBLE_TIME = "implausible_time"
    """The time is before 2000 or more than a day ahead."""
    BEYOND_RETENTION = "beyond_retention"
    """The time is older than the tenant's raw readings are kept."""
    BAD_NAME = "bad_name"
    """The name of a point has characters that names do not have."""
    BAD_VALUE = "bad_value"
    """The value is not a finite number or a boolean."""
    TOO_MANY_POINTS = "too_many_points"
    """The device named more points than it may make."""
    OVER_QUOTA = "over_quota"
    """The device or its tenant sends more than its plan has."""
    UNKNOWN_DEVICE = "unknown_device"
    """The registry has no such device."""
    SUSPENDED = "suspended"
    """The tenant is closed: suspended, or being deleted."""
    NOT_STORED = "not_stored"
    """The database refused it."""
