"""Bring commands to the broker."""

from __future__ import annotations

import structlog

from insula_platform.link import BrokerLink
from insula_tenants.broker import BrokerError
from insula_tenants.commands import Order, note_nobody, note_sent
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.names import device_topic

log = structlog.stdlib.get_logger("insula.commands")


def send_order(databases: Databases, link: BrokerLink | None, context: TenantContext, order: Order) -> bool:
    """Publish a command, and note what became of it; False while the broker is away: it waits."""
    if link is None or not link.connected:
        return False
    topic = device_topic(context.slug, order.device, f"commands/{order.id}")
    try:
        taken = link.send(topic, order.payload, expires_in=order.expires_in)
    except BrokerError as error:
        log.warning("a command waits", tenant=context.slug, device=order.device, reason=error.detail)
        return False
    with databases.tenant(context) as session:
        if taken:
            note_sent(session, [order.id])
        else:
            note_nobody(session, order)
    return True
