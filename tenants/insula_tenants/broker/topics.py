"""What the platform's services say to each other through the broker, on topics that no device may use.

Live values are soft state. While somebody listens to a tenant, the API repeats `wanted`; ingest publishes
what it has committed of tenants that were wanted within the last `WANTED_FOR` seconds. All of it is QoS 0: a
listener that missed something reads the latest values again.

When ingest begins to publish a tenant's values it says so by `BEGINS`: what was committed before may not have
been published, so a snapshot that is read from then on, and what follows, leave nothing out.

A replay is asked for at QoS 1 and waits in ingest's persistent session like any message of a device.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from uuid import UUID

from insula_tenants.names import check_slug

LIVE_WANTED = "insula/live/wanted/+"
LIVE_VALUES = "insula/live/values/+"
REPLAY = "insula/replay/+"

WANTED_EVERY = 10.0
"""Seconds between two times that the API says it wants a tenant's values."""
WANTED_FOR = 30.0
"""Seconds after which ingest takes it that nobody listens any more."""
BEGINS = b""
"""The payload by which ingest says that it publishes the tenant's values from now on."""
VALUES_PER_MESSAGE = 1000
"""Values in one message: some 40 KB."""

Committed = tuple[int, int, float]
"""A value that was committed: point id, microseconds since the epoch, value."""


def wanted_topic(tenant_slug: str) -> str:
    """Where the API says that somebody listens to the tenant."""
    return LIVE_WANTED.replace("+", check_slug(tenant_slug, field="tenant"))


def values_topic(tenant_slug: str) -> str:
    """Where ingest publishes the values of the tenant that it has committed."""
    return LIVE_VALUES.replace("+", check_slug(tenant_slug, field="tenant"))


def replay_topic(tenant_slug: str) -> str:
    """Where the API says that dead letters of the tenant are to be processed again."""
    return REPLAY.replace("+", check_slug(tenant_slug, field="tenant"))


def tenant_of(topic: str, topic_filter: str) -> str | None:
    """The tenant that a topic names, None when the filter, one of the above, does not match it."""
    prefix = topic_filter.removesuffix("+")
    return topic[len(prefix) :] if topic.startswith(prefix) else None


def encode_values(tenant_id: UUID, values: Sequence[Committed]) -> Iterator[bytes]:
    """The values as messages of at most `VALUES_PER_MESSAGE`.

    The tenant's id stands inside: a slug may have been another tenant's a moment ago.
    """
    for start in range(0, len(values), VALUES_PER_MESSAGE):
        part = values[start : start + VALUES_PER_MESSAGE]
        yield json.dumps({"tenant": str(tenant_id), "values": part}, separators=(",", ":")).encode()


def decode_values(payload: bytes) -> tuple[UUID, list[Committed]]:
    """What `encode_values` wrote; `ValueError` for anything else."""
    try:
        document = json.loads(payload)
        values = [(int(point), int(time), float(value)) for point, time, value in document["values"]]
        return UUID(document["tenant"]), values
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"these are no live values: {error}") from error
