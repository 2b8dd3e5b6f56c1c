"""What the worker does for the broker: bring its logins in line with the registry, and count what was not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import fields

from procrastinate import App
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from insula_platform.settings import PlatformSettings
from insula_tenants import audit
from insula_tenants.audit import SYSTEM
from insula_tenants.broker import BrokerAccess, Drift, Login, broker_access
from insula_tenants.database import Databases
from insula_tenants.devices.logins import registered_logins
from insula_tenants.errors import InsulaError
from insula_tenants.migrate import first_line

log = logging.getLogger(__name__)

_HOURLY = "41 * * * *"
_NAMED = 20
"""User names that a line of the log and an entry of the audit log hold."""


class DriftMetrics(Collector):
    """`insula_broker_drift_total{kind="…"}`: logins found to differ since this process started."""

    def __init__(self) -> None:
        self._found = dict.fromkeys((field.name for field in fields(Drift)), 0)

    def add(self, drift: Drift) -> None:
        """Count what was found."""
        for kind in self._found:
            self._found[kind] += len(getattr(drift, kind))

    def collect(self) -> Iterable[Metric]:
        """The counter."""
        counter = CounterMetricFamily(
            "insula_broker_drift",
            "Logins at the broker that differed from the registry's, by what was wrong",
            labels=["kind"],
        )
        for kind, count in self._found.items():
            counter.add_metric([kind], count)
        yield counter


def add_broker_tasks(
    app: App, settings: PlatformSettings, databases: Databases, metrics: DriftMetrics
) -> None:
    """Register the task, which runs every hour; the worker reconciles once more when it starts."""
    broker = broker_access(settings)

    @app.periodic(cron=_HOURLY)
    @app.task(queueing_lock="reconcile-broker", lock="reconcile-broker", name="reconcile-broker")
    async def reconcile(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate names the tick
        """Bring the broker's logins in line with the registry."""
        await asyncio.to_thread(reconcile_broker, databases, broker, metrics)


def reconcile_broker(databases: Databases, broker: BrokerAccess, metrics: DriftMetrics) -> Drift | None:
    """Compare and repair once; what differed, None when broker or registry could not be asked."""

    def wanted() -> list[Login]:
        return [one.login for one in registered_logins(databases)]

    try:
        drift = broker.reconcile(wanted)
    except DBAPIError as error:
        log.warning("the broker's logins were not compared with the registry: %s", first_line(error))
        return None
    except InsulaError as error:
        log.warning("the broker's logins were not compared with the registry: %s", error.detail)
        return None
    metrics.add(drift)
    told = {
        field.name: list(names[:_NAMED]) for field in fields(drift) if (names := getattr(drift, field.name))
    }
    if told:
        log.warning("the broker's logins differed from the registry: %s", told)
    if drift.repaired:
        counts = {field.name: len(getattr(drift, field.name)) for field in fields(drift)}
        with databases.core() as core:
            audit.record(
                core,
                SYSTEM,
                "broker.reconciled",
                tenant=None,
                target="broker",
                detail={**counts, "some": told},
            )
    return drift
