"""Why a reading or a message is not stored, and which times are plausible: the same at every entrance."""

from __future__ import annotations

from enum import StrEnum

EARLIEST = 946_684_800_000_000
"""2000-01-01 in microseconds: an earlier time is a clock that was never set."""

MAX_AHEAD = 86_400_000_000
"""One day in microseconds: a later time is a clock that runs wild."""

LARGEST = 1e280
"""The largest value, of either sign. Rollups add values up, and multiply them by seconds: PostgreSQL makes an
error of what goes beyond a double, and nothing of the tenant would be rolled up any more."""


class Reason(StrEnum):
    """Why something could not be stored. The list is closed: people filter and alert by it."""

    MALFORMED = "malformed"
    """The payload is not what its format demands."""
    TOO_LARGE = "too_large"
    """The payload is larger than ingest takes."""
    BAD_SHAPE = "bad_shape"
    """Well-formed, but no telemetry in any of its formats."""
    BAD_TIME = "bad_time"
    """The time is not what the format says a time is."""
    IMPLAUSIBLE_TIME = "implausible_time"
    """The time is before 2000 or more than a day ahead."""
    BAD_NAME = "bad_name"
    """The name of a point has characters that names do not have."""
    BAD_VALUE = "bad_value"
    """The value is not a finite number of at most `LARGEST`, or a boolean."""
    NO_BIRTH = "no_birth"
    """A Sparkplug metric whose name or datatype only a birth tells, and none has told it."""
    TOO_MANY_POINTS = "too_many_points"
    """The device named more points than it may make."""
    BEYOND_RETENTION = "beyond_retention"
    """The reading is older than the tenant's readings are kept."""
    OVER_QUOTA = "over_quota"
    """The device or its tenant sends more than its plan has."""
    UNKNOWN_DEVICE = "unknown_device"
    """The registry has no such device."""
    NOT_ITS_GATEWAY = "not_its_gateway"
    """The device is no child of the gateway that sent it."""
    UNKNOWN_COMMAND = "unknown_command"
    """A result of a command that this device was not given."""
    SUSPENDED = "suspended"
    """The tenant is closed: suspended, or being deleted."""
    NOT_STORED = "not_stored"
    """The database refused it."""
