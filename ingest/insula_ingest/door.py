"""Limits of messages and values: a token bucket for each device and one for its tenant.

A device is asked before its tenant, so one that floods spends its own tokens and not its neighbours'. A
message with more values than there are tokens left is let in and makes a debt: a large one is paid for by
those after it.

Buckets hold some seconds' worth. While ingest itself is behind, because it, a database or the broker was away
and the messages waited, they may fill up for as long as that has lasted: nobody is over the limit for what
the platform made them wait with.
"""

from __future__ import annotations

from insula_tenants.quotas import Quotas

BURST = 10.0
"""Seconds' worth that a bucket holds."""

CATCH_UP = 3600.0
"""Seconds' worth at the start of the process, when nobody knows for how long ingest was away."""

SETTLED = 70.0
"""Seconds without being behind after which buckets hold `BURST` again. Devices that lost the broker take up
to a minute to come back, with all that they have kept."""

LETTERS_A_SECOND, LETTERS_AT_ONCE = 1.0, 120.0
"""Dead letters of one device."""
TENANT_LETTERS_A_SECOND, TENANT_LETTERS_AT_ONCE = 10.0, 2000.0
"""Dead letters of all devices of a tenant."""

TELL_AGAIN = 60.0
"""Seconds after which a device that is over its limit is told of again."""

_LONG_AGO = -1e9


class Bucket:
    """Tokens that come back with time."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        """Full, whatever its size."""
        self._at = _LONG_AGO
        self._tokens = 0.0

    def take(self, amount: float, rate: float, size: float, now: float) -> bool:
        """Take `amount` tokens when there is at least one; `rate` come back each second, up to `size`."""
        tokens = min(size, self._tokens + (now - self._at) * rate)
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - amount
        return True


class Account:
    """What is counted for one device, or for one tenant."""

    __slots__ = ("letters", "messages", "told_at", "values")

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.messages, self.values, self.letters = Bucket(), Bucket(), Bucket()
        self.told_at = _LONG_AGO


class Door:
    """Lets messages in or not. Used by one thread."""

    def __init__(self, now: float) -> None:
        """`now` and all later times are of one monotonic clock."""
        self._seconds = CATCH_UP
        self._behind_since: float | None = None
        self._behind_until = now

    def tick(self, now: float, *, is_behind: bool) -> None:
        """Once a batch: whether ingest has fallen behind what the broker holds for it."""
        if is_behind:
            if self._behind_since is None:
                self._behind_since = now
            self._behind_until = now
            self._seconds = max(self._seconds, BURST + now - self._behind_since)
        elif now - self._behind_until > SETTLED:
            self._behind_since = None
            self._seconds = BURST

    def message_over(self, quotas: Quotas, device: Account, tenant: Account, now: float) -> str | None:
        """None when one more message may come in, else the limit that it is over."""
        rate = quotas.device_messages_per_second
        if rate is not None and not device.messages.take(1, rate, rate * self._seconds, now):
            return f"{rate} messages a second of a device"
        rate = quotas.tenant_messages_per_second
        if rate is not None and not tenant.messages.take(1, rate, rate * self._seconds, now):
            return f"{rate} messages a second of all devices together"
        return None

    def values_over(
        self, quotas: Quotas, device: Account, tenant: Account, count: int, now: float
    ) -> str | None:
        """None when `count` more values may come in, else the limit that they are over.

        With a `count` of 0 it is only asked.
        """
        rate = quotas.device_values_per_second
        if rate is not None and not device.values.take(count, rate, rate * self._seconds, now):
            return f"{rate} values a second of a device"
        rate = quotas.tenant_values_per_second
        if rate is not None and not tenant.values.take(count, rate, rate * self._seconds, now):
            return f"{rate} values a second of all devices together"
        return None

    def letter(self, device: Account, tenant: Account, now: float) -> bool:
        """Whether one more dead letter may be kept: garbage must not fill the disk."""
        return device.letters.take(1, LETTERS_A_SECOND, LETTERS_AT_ONCE, now) and tenant.letters.take(
            1, TENANT_LETTERS_A_SECOND, TENANT_LETTERS_AT_ONCE, now
        )

    def tells(self, device: Account, now: float) -> bool:
        """Whether it is time to tell the tenant that this device is over its limit."""
        if now - device.told_at < TELL_AGAIN:
            return False
        device.told_at = now
        return True
