"""The worker's Prometheus metrics: how far each tenant's rollups are behind, and what its readings take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import select

from insula_tenants.administration import Administration
from insula_tenants.registry import Tenant
from insula_tenants.rollups import StorageStatus


class _Status(NamedTuple):
    tenant: str
    lag_seconds: float
    dirty_seconds: float
    raw_bytes: int | None
    rollup_bytes: int | None


_GAUGES = {
    "lag_seconds": "How far the tenant's rollups are behind where they can be",
    "dirty_seconds": "Length of the stretches whose rollups are to be made anew",
    "raw_bytes": "Bytes of the tenant's raw readings on disk",
    "rollup_bytes": "Bytes of the tenant's rollups on disk",
}


class StorageMetrics(Collector):
    """`insula_storage_…{tenant="…"}`, as the last look found them. An erased tenant is gone with the next."""

    def __init__(self) -> None:
        self._seen: Sequence[_Status] = ()

    def look(self, admins: Administration) -> None:
        """Take what the survey has written down."""
        query = select(
            Tenant.slug,
            StorageStatus.lag_seconds,
            StorageStatus.dirty_seconds,
            StorageStatus.raw_bytes,
            StorageStatus.rollup_bytes,
        ).where(Tenant.id == StorageStatus.tenant_id)
        with admins.core() as core:
            self._seen = [_Status(*row) for row in core.execute(query)]

    def collect(self) -> Iterable[Metric]:
        """A gauge for each figure; a tenant that was not measured yet has no value."""
        seen = self._seen
        for name, documentation in _GAUGES.items():
            gauge = GaugeMetricFamily(f"insula_storage_{name}", documentation, labels=["tenant"])
            for status in seen:
                if (value := getattr(status, name)) is not None:
                    gauge.add_metric([status.tenant], value)
            yield gauge


def serve_metrics(host: str, port: int, *collectors: Collector) -> None:
    """Answer `GET /metrics` from a thread of its own, until the process ends."""
    registry = CollectorRegistry()
    for one in collectors:
        registry.register(one)
    start_http_server(port, addr=host, registry=registry)
