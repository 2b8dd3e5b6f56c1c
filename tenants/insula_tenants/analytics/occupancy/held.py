"""For how long what somebody's coming or going reported is believed. Pure."""

from __future__ import annotations

import numpy as np

from insula_tenants.analytics.series import Series
from insula_tenants.telemetry.buckets import DAY, Microseconds
from insula_tenants.telemetry.digests import Digests

LONGEST = DAY
"""Microseconds for which presence holds without another reading, as data quality has it of a stuck sensor.
Absence holds on: a room may stay empty for long."""


def held(shares: Series, before: Digests, during: Digests, gone: Microseconds) -> Series:
    """The buckets of a sensor that reports events, without those in which its value holds no longer.

    That is presence which began to hold more than `LONGEST` ago, and everything from `gone` on, when its
    device went out of use. `before` are digests of the `LONGEST` before the period, `during` of the period.
    """
    firsts = np.concatenate([before.firsts, during.firsts])
    lasts = np.concatenate([before.lasts, during.lasts])
    # Of each bucket's beginning: the last digest that is over by then, and whether the next has begun.
    place = np.searchsorted(lasts, shares.times, side="right")
    since = np.concatenate([[np.iinfo(np.int64).min // 2], lasts])[place]
    following = np.concatenate([firsts, [np.iinfo(np.int64).max]])[place]
    stale = (shares.times - since >= LONGEST) & (shares.times < following) & (shares.values > 0)
    kept = ~stale & (shares.times < gone)
    return Series(shares.times[kept], shares.values[kept])
