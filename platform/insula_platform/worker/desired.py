"""Compare the desired states that the broker keeps with those that devices are to have."""

from __future__ import annotations

import json

from sqlalchemy import select

from insula_platform.link import BrokerLink
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import Device
from insula_tenants.names import device_topic
from insula_tenants.twins import Twin, publish_again


def check_desired(databases: Databases, link: BrokerLink, context: TenantContext) -> int:
    """How many states of the tenant the broker had wrong, or should not have: put right, or on their way.

    That is how a broker is found out that lost what it kept, or that an old message reached late.
    Raises `BrokerUnreachable`, `BrokerRefused`.
    """
    # What is kept is read first: a state that changes in between is taken for wrong, and sent once more.
    kept = {
        topic.split("/")[3]: _version(payload)
        for topic, payload in link.retained(device_topic(context.slug, "+", "desired")).items()
    }
    wanted = select(Device.slug, Twin.desired_version).join(Twin, Twin.device_id == Device.id)
    wanted = wanted.where(Twin.desired_version > 0, Device.state != "decommissioned")
    with databases.tenant(context) as session:
        versions = {row.slug: row.desired_version for row in session.execute(wanted)}
        wrong = [slug for slug, version in versions.items() if kept.get(slug) != version]
        publish_again(session, wrong)
    strays = kept.keys() - versions.keys()
    for slug in strays:
        link.send(device_topic(context.slug, slug, "desired"), b"", retain=True)
    return len(wrong) + len(strays)


def _version(payload: bytes) -> int | None:
    try:
        return int(json.loads(payload)["version"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
