"""The parts of ingest between broker and database, put together without the service's threads."""

from __future__ import annotations

import time

from insula_ingest.batch import Builder, Item, Part, Route
from insula_ingest.door import Door
from insula_ingest.messages import Message, address_of
from insula_ingest.outages import Outages
from insula_ingest.registry import DeviceRegistry
from insula_ingest.tenants import TenantEntry, TenantRegistry
from insula_ingest.writer import Home, Store
from insula_tenants.quotas import Quotas
from tests.conftest import Deployment


class Pipeline:
    """Prepares and writes when it is told to, one after the other or not."""

    def __init__(self, deployment: Deployment) -> None:
        outages = Outages()
        self._tenants = TenantRegistry(deployment.databases, outages)
        registry = DeviceRegistry(deployment.databases, outages, max_points=200)
        self.builder = Builder(
            self._tenants, registry, Door(0.0), max_payload_bytes=2**20, clock=time.monotonic
        )
        self._home = Home("main", deployment.service_url)
        self._store = Store(self._home, self._tenants, outages)

    def prepare(self, messages: list[Message]) -> list[Part]:
        """What a batch of these messages comes to; those of tenants that do not exist are passed over."""
        groups: dict[TenantEntry, list[Item]] = {}
        for message in messages:
            address = address_of(message.topic)
            assert address is not None
            route = Route(self._tenants.entry(address.tenant), address.device, address.gateway)
            groups.setdefault(route.tenant, []).append((route, message))
        self._tenants.refresh(groups.keys())
        parts = []
        for tenant, items in groups.items():
            tenant.quotas = Quotas()  # limits have tests of their own
            if tenant.context is not None:
                part = self.builder.resolve(self.builder.admit(tenant, tenant.context, items))
                assert part is not None
                parts.append(part)
        return parts

    def write(self, parts: list[Part]) -> None:
        """Store what was prepared; nothing of it may be held."""
        outcome = self._store.write(parts)
        assert outcome.stored == parts
        for part in parts:
            self.builder.settle(part, written=True)

    def store(self, messages: list[Message]) -> None:
        """Prepare and write."""
        self.write(self.prepare(messages))

    def close(self) -> None:
        self._home.close()
