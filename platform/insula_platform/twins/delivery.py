"""Bring a device's desired state to the broker, which keeps it for the device."""

from __future__ import annotations

import structlog

from insula_platform.link import BrokerLink
from insula_tenants.broker import BrokerError
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.names import device_topic
from insula_tenants.twins import publish_desired

log = structlog.stdlib.get_logger("insula.twins")


def bring_desired(databases: Databases, link: BrokerLink | None, context: TenantContext, device: str) -> bool:
    """Whether the broker has the device's desired state now; where not, it waits for the worker."""
    if link is None or not link.connected:
        return False
    topic = device_topic(context.slug, device, "desired")
    try:
        with databases.tenant(context) as session:
            publish_desired(session, device, lambda payload: _send(link, topic, payload))
    except BrokerError as error:
        log.warning("a desired state waits", tenant=context.slug, device=device, reason=error.detail)
        return False
    return True


def _send(link: BrokerLink, topic: str, payload: bytes) -> None:
    link.send(topic, payload, retain=True)
