"""Tell those who listen what was committed, as `insula_tenants.broker.topics` has it.

What nobody wants costs a look into an empty dictionary. What cannot be sent is left out, and the listeners
are told to read a snapshot: live values must never hold up what is stored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from insula_ingest.batch import Part
from insula_ingest.messages import Message
from insula_tenants.broker.topics import (
    BEGINS,
    LIVE_WANTED,
    WANTED_FOR,
    encode_values,
    tenant_of,
    values_topic,
)
from insula_tenants.context import TenantContext
from insula_tenants.names import is_slug


class LiveValues:
    """Which tenants somebody listens to. Shared by all threads."""

    def __init__(
        self, send: Callable[[str, bytes], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`send` takes a topic and a payload, and says whether there was room for them."""
        self._send = send
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def wanted(self, message: Message) -> None:
        """Somebody listens to a tenant."""
        tenant = tenant_of(message.topic, LIVE_WANTED)
        if tenant is None or not is_slug(tenant):
            return
        now = self._clock()
        with self._lock:
            begins = self._until.get(tenant, now) <= now
            self._until[tenant] = now + WANTED_FOR
        # After that: what is committed before this is sent is either published, or in a later snapshot.
        if begins and not self._send(values_topic(tenant), BEGINS):
            self._leave_out(tenant)

    def committed(self, parts: Sequence[Part]) -> None:
        """These are committed."""
        for part in parts:
            self.stored(part.batch.context, part.batch.readings)

    def stored(self, context: TenantContext, readings: Mapping[tuple[int, int], float]) -> None:
        """Publish a tenant's readings, `(point id, microseconds)` → value, when somebody wants them."""
        until = self._until.get(context.slug)
        if until is None or not readings:
            return
        if until <= self._clock():
            self._leave_out(context.slug)
            return
        values = [(point, at, value) for (point, at), value in readings.items()]
        topic = values_topic(context.slug)
        if not all(self._send(topic, payload) for payload in encode_values(context.id, values)):
            self._leave_out(context.slug)

    def _leave_out(self, tenant: str) -> None:
        """Publish nothing of the tenant until it is wanted again: that begins with a fresh snapshot."""
        with self._lock:
            self._until.pop(tenant, None)
