"""For how long what somebody's coming or going reported is believed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from insula_tenants.analytics.cadence import Cadence
from insula_tenants.analytics.series import Series
from insula_tenants.telemetry.buckets import DAY, Microseconds
from insula_tenants.telemetry.digests import Digests, read_digests

LONGEST = DAY
"""Microseconds for which presence holds without another reading, as data quality has it of a stuck sensor.
Absence holds on: a room may stay empty for long."""


async def read_held(
    connection: AsyncConnection[DictRow],
    shares: Mapping[int, Series],
    starting: datetime,
    digests: Mapping[int, Digests],
    cadences: Mapping[int, Cadence],
) -> dict[int, Series]:
    """The buckets of sensors that report events, by point, as far as `held` believes them.

    `shares` are their means over time. `digests` are of the days from `starting` on.
    """
    shortly = (starting - timedelta(microseconds=LONGEST), starting)
    before = (await read_digests(connection, list(shares), [shortly], timedelta(days=1))).digests
    return {
        point: held(one, before[point], digests[point], cadences[point].ends) for point, one in shares.items()
    }


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
