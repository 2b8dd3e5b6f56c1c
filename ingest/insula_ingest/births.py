"""Sparkplug births in a batch: learn what they tell, in order of receipt, and read the data that needs it.

What is learned counts for the rest of the batch at once, and is stored with it. The next batch reads anew
what was stored, so one that fails leaves nothing behind that was never so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from insula_ingest.codecs import Decoded, Reason
from insula_ingest.codecs.decoded import Microseconds
from insula_ingest.codecs.sparkplug import MOST_METRICS, Births, Learned, read_pending
from insula_ingest.registry import DeviceEntry, DeviceRegistry
from insula_tenants.context import TenantContext
from insula_tenants.telemetry.births import NewBirth, NewMetric


class Arrival(NamedTuple):
    """A payload, and the device whose it is."""

    device: DeviceEntry
    decoded: Decoded
    received_at: Microseconds


def read_births(
    context: TenantContext, arrivals: Iterable[Arrival], registry: DeviceRegistry
) -> list[NewBirth]:
    """Read what is pending in the tenant's payloads; what is to be stored of their births.

    Asks the registry at most twice, and only when there is a Sparkplug payload: the second time for devices
    whose births another process may have received.
    """
    arrivals = [arrival for arrival in arrivals if arrival.decoded.told or arrival.decoded.pending]
    if not arrivals:
        return []
    known = registry.births(context, [device for device, _, _ in arrivals])
    puzzling = [device for device, decoded, _ in arrivals if _is_puzzling(decoded, known[device.id])]
    if puzzling:
        known |= registry.births(context, puzzling, anew=True)
    new: list[NewBirth] = []
    for device, decoded, received_at in arrivals:
        learned = known[device.id].learn(decoded.told or (), decoded.told_at)
        known[device.id] = learned.births
        if learned.changed or learned.forgotten:
            new.append(_new_birth(device, learned))
            device.births = None
        for name in learned.without_room:
            decoded.reject(
                Reason.TOO_MANY_POINTS,
                f"{name}: the device's births have told {MOST_METRICS} metrics already and may tell no more",
            )
        read_pending(decoded, learned.births, received_at)
    return new


def _is_puzzling(decoded: Decoded, births: Births) -> bool:
    """Whether something is pending that neither the device's births nor the payload itself explain."""
    unexplained = [pending for pending in decoded.pending or () if births.of(pending) is None]
    if not unexplained:
        return False
    told = Births().learn(decoded.told or (), decoded.told_at).births
    return any(told.of(pending) is None for pending in unexplained)


def _new_birth(device: DeviceEntry, learned: Learned) -> NewBirth:
    metrics = [
        NewMetric(name, alias, datatype, datetime.fromtimestamp(since / 1e6, UTC) if since else None)
        for name, alias, datatype, since in learned.changed
    ]
    return NewBirth(device.id, metrics, learned.forgotten)
