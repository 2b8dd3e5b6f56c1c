"""What this installation stands on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from insula_platform.storage.service import storage_of_all
from insula_tenants.broker.tls import broker_tls
from insula_tenants.database import Databases
from insula_tenants.migrate import head
from insula_tenants.registry import list_tenants
from insula_tenants.settings import TenantsSettings
from insula_tenants.storage import detect_engine

_SILENT = timedelta(minutes=10)
"""The worker looks each half minute."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    says: str
    well: bool


def examine() -> Iterator[Finding]:
    """Look at the database, its storage engine, the schemas and the broker."""
    settings = TenantsSettings()
    databases = Databases(settings.service_urls(), pool_size=1)
    try:
        with databases.core() as core:
            yield from _examine_database(core)
    except DBAPIError as error:
        fix = "" if isinstance(error, OperationalError) else "; run `insula migrate`"
        yield Finding("database", str(error.orig).splitlines()[0] + fix, False)
    finally:
        databases.close()
    yield _examine_broker(settings)


def _examine_broker(settings: TenantsSettings) -> Finding:
    """Whether it accepts connections and, over TLS, shows a certificate that the services trust."""
    where = f"{settings.mqtt_host}:{settings.mqtt_port}"
    tls = broker_tls(settings)
    try:
        with socket.create_connection((settings.mqtt_host, settings.mqtt_port), timeout=3) as raw:
            if tls is None:
                return Finding("broker", f"{where} accepts connections, in the clear", True)
            with tls.wrap_socket(raw, server_hostname=settings.mqtt_host) as connection:
                return Finding("broker", f"{where} accepts connections over {connection.version()}", True)
    except OSError as error:
        return Finding("broker", f"{where}: {error.strerror or error}", False)


def _examine_database(core: Session) -> Iterator[Finding]:
    storage = detect_engine(core.connection())
    yield Finding("storage engine", f"{storage.name} {storage.version(core.connection())}", True)
    if storage.name != "timescaledb":
        yield Finding("compression", "this engine has none: readings take their full size on disk", True)
    revision = core.scalar(text("SELECT version_num FROM schema_version"))
    newest = head("core")
    yield Finding("core schema", f"at {revision}, this release needs {newest}", revision == newest)
    tenants = list_tenants(core)
    behind = [tenant.slug for tenant in tenants if tenant.schema_version != head("tenant")]
    says = f"{len(tenants)} tenants" + (f"; run `insula migrate` for {', '.join(behind)}" if behind else "")
    yield Finding("tenant schemas", says, not behind)
    yield _examine_rollups(core)


def _examine_rollups(core: Session) -> Finding:
    """Whether the worker looks after the rollups, and keeps up with them."""
    views = [view for view in storage_of_all(core) if view.checked_at is not None]
    if not views:
        return Finding("rollups", "no worker has looked at them yet: answers come from raw readings", True)
    longest = max(views, key=lambda view: view.lag_seconds or 0)
    dirty = sum(view.dirty_ranges or 0 for view in views)
    behind = timedelta(seconds=round(longest.lag_seconds or 0))
    says = f"{longest.tenant} is furthest behind, by {behind}; {dirty} stretches are to be made anew"
    silent = datetime.now(UTC) - max(view.checked_at for view in views if view.checked_at)
    if silent > _SILENT:
        says += f"; no worker has looked for {timedelta(seconds=round(silent.total_seconds()))}"
    return Finding("rollups", says, silent <= _SILENT)
