"""Count what tenants use, and add it to their days every few seconds.

What was not added yet is lost with the process: counters are not worth a statement a batch.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from uuid import UUID

from insula_ingest.batch import Part
from insula_ingest.outages import DatabaseAway, Outages
from insula_tenants.database import MAIN, Databases
from insula_tenants.usage import add_usage

log = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0


@dataclass(slots=True)
class _Counters:
    amounts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    devices: set[int] = field(default_factory=set)


class Metering:
    """Counters by tenant and day (UTC). Shared by all threads."""

    def __init__(self, databases: Databases, outages: Outages) -> None:
        """`start` begins to add what is counted."""
        self._databases = databases
        self._outages = outages
        self._counted: dict[tuple[UUID, date], _Counters] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metering", daemon=True)

    def start(self) -> None:
        """Add what is counted every `FLUSH_SECONDS`, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Add what is left, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def stored(self, part: Part) -> None:
        """Count a part that is stored."""
        self._add(
            part.batch.context.id,
            {
                "messages": len(part.messages),
                "values": part.values,
                "bytes": sum(message.size for message in part.messages),
                "dead_letters": len(part.batch.dead_letters),
            },
            part.devices,
        )

    def throttled(self, tenant_id: UUID, count: int) -> None:
        """Count messages that were over a limit."""
        self._add(tenant_id, {"throttled": count}, set())

    def flush(self) -> None:
        """Add what was counted. Raises `DatabaseAway`; it stays counted then."""
        with self._lock:
            counted, self._counted = self._counted, {}
        try:
            if counted:
                with self._outages.watching(MAIN), self._databases.core() as core:
                    for (tenant_id, day), counters in sorted(counted.items()):
                        add_usage(core, tenant_id, day, counters.amounts, counters.devices)
        except BaseException:
            for key, counters in counted.items():
                self._merge(key, counters.amounts, counters.devices)
            raise

    def _add(self, tenant_id: UUID, amounts: dict[str, int], devices: set[int]) -> None:
        self._merge((tenant_id, datetime.now(UTC).date()), amounts, devices)

    def _merge(self, key: tuple[UUID, date], amounts: dict[str, int], devices: set[int]) -> None:
        with self._lock:
            counters = self._counted.setdefault(key, _Counters())
            for metric, amount in amounts.items():
                counters.amounts[metric] += amount
            counters.devices |= devices

    def _run(self) -> None:
        while True:
            is_last = self._stopping.wait(FLUSH_SECONDS)
            try:
                self.flush()
            except DatabaseAway:
                pass  # it is told already, and stays counted
            except Exception:
                log.exception("the usage of tenants was not counted")
            if is_last:
                return
