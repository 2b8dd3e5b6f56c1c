"""Who may publish and subscribe what: the one place, whichever broker enforces it.

A device is bound to its own topics, and that binding makes a topic's tenant trustworthy::

    tenants/{tenant}/devices/{device}/telemetry                    device -> ingest
    tenants/{tenant}/devices/{device}/attributes                   device -> ingest
    tenants/{tenant}/devices/{device}/status                       device -> ingest, retained
    tenants/{tenant}/devices/{gateway}/children/{device}/telemetry gateway -> ingest
    tenants/{tenant}/devices/{device}/commands/{command}/result    device -> ingest
    tenants/{tenant}/devices/{device}/desired                      platform -> device, retained
    tenants/{tenant}/devices/{device}/commands/{command}           platform -> device
    tenants/{tenant}/devices/{device}/own/#                        device -> nobody

What is below `own` is for gear that publishes on topics of its own and cannot be told not to: refused, it
would lose its connection (Mosquitto 2.0.11 hangs up on whoever publishes what it may not).

The services speak among themselves on topics that no device may use, neither way (see `topics`)::

    insula/live/wanted/{tenant}                                    platform -> every ingest
    insula/live/values/{tenant}                                    ingest -> platform
    insula/replay/{tenant}                                         platform -> ingest

A client id is no less of a name than a user name: who connects under another's ends that session and drops
what is queued for it. So a device must give `{tenant}/{device}` as its client id. Its first login has that as
its user name too, a later one, of a rotation, `{tenant}/{device}/{n}`: the broker has one password for a user
name, and for a while both are good. They are one device, with the same rules, one session, and one connection
at a time. The services choose their client ids, one for each of their processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from insula_tenants.broker.topics import LIVE_VALUES, LIVE_WANTED, REPLAY
from insula_tenants.errors import InvalidInput
from insula_tenants.names import check_slug, device_topic, parse_username

INGEST = "insula-ingest"
"""Login of the service that takes in what devices send."""
CONTROL = "insula-control"
"""Login that provisions devices, and forgets the desired state of those that go. It may speak to devices."""
PLATFORM = "insula-platform"
"""Login of API and worker: desired state, commands, live values and replays. They see which desired state the
broker keeps."""
SHARE_GROUP = "ingest"
"""Shared subscriptions of ingest are `$share/ingest/{filter}`."""

DYNAMIC_SECURITY = "$CONTROL/dynamic-security/v1"
"""Topic that Mosquitto's dynamic-security plugin takes commands on."""
DYNAMIC_SECURITY_RESPONSE = f"{DYNAMIC_SECURITY}/response"

BROKER_LOG = "$SYS/broker/log/N"
"""Topic of Mosquitto's notices, where its log goes to topics: ingest hears there what was refused."""

DESIRED = "desired"
RESULTS = ("commands/+/result",)
TELEMETRY = ("telemetry", "attributes", "status", "children/+/telemetry")
"""What devices send to ingest of themselves, below their own topic."""
OWN = ("own/#",)
"""What devices say and nobody hears, below their own topic."""
ORDERS = (DESIRED, "commands/+")
"""What the platform sends to a device, below the device's topic."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The topic filters that bound one login. Whatever no filter covers is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    @property
    def receive(self) -> tuple[str, ...]:
        """Filters of the topics that may be delivered; those of a shared subscription are the plain ones."""
        return tuple(one for one in self.subscribe if not one.startswith("$share/"))

    def may_publish(self, topic: str) -> bool:
        """Whether the login may publish to this topic, by hand or as its last will."""
        return not {"+", "#"}.intersection(topic) and any(covers(one, topic) for one in self.publish)

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether every topic that this filter matches is one the login may subscribe to."""
        return any(covers(one, topic_filter) for one in self.subscribe)

    def may_receive(self, topic: str) -> bool:
        """Whether a message on this topic may be delivered to the login."""
        return any(covers(one, topic) for one in self.receive)


def covers(wide: str, narrow: str) -> bool:
    """Whether the topic filter `wide` matches every topic that the topic or filter `narrow` does."""
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    for index, level in enumerate(wide_levels):
        if level == "#":
            return True
        if index == len(narrow_levels) or narrow_levels[index] == "#":
            return False
        if level not in ("+", narrow_levels[index]):
            return False
    return len(wide_levels) == len(narrow_levels)


@lru_cache(maxsize=4096)
def device_rules(tenant_slug: str, device_slug: str) -> Rules:
    """The rules of one device; `InvalidInput` when a name is no slug, so that none can hold a wildcard."""
    tenant, device = check_slug(tenant_slug, field="tenant"), check_slug(device_slug, field="device")
    return Rules(
        publish=tuple(device_topic(tenant, device, leaf) for leaf in (*TELEMETRY, *RESULTS, *OWN)),
        subscribe=tuple(device_topic(tenant, device, leaf) for leaf in ORDERS),
    )


def service_rules(service: str) -> Rules:
    """The rules of one of the platform's own logins; `InvalidInput` when there is no such service."""
    if service not in _SERVICES:
        raise InvalidInput("service", f"{service!r} is no service: use one of {', '.join(sorted(_SERVICES))}")
    return _SERVICES[service]


def rules_of(username: str) -> Rules | None:
    """The rules of a user name, a device's or a service's; None when it can be nobody's.

    A device's logins, `{tenant}/{device}` and `{tenant}/{device}/{n}`, have the same ones.
    """
    if username in _SERVICES:
        return _SERVICES[username]
    login = parse_username(username)
    return device_rules(login.tenant, login.device) if login else None


def _of_all_devices(*leaves: str) -> tuple[str, ...]:
    return tuple(device_topic("+", "+", leaf) for leaf in leaves)


_SERVICES = {
    INGEST: Rules(
        publish=(LIVE_VALUES,),
        subscribe=(
            *_of_all_devices(*TELEMETRY, *RESULTS),
            *(f"$share/{SHARE_GROUP}/{one}" for one in (*_of_all_devices(*TELEMETRY, *RESULTS), REPLAY)),
            LIVE_WANTED,
            REPLAY,
            BROKER_LOG,
        ),
    ),
    PLATFORM: Rules(
        publish=(*_of_all_devices(*ORDERS), LIVE_WANTED, REPLAY),
        subscribe=(LIVE_VALUES, *_of_all_devices(DESIRED)),
    ),
    CONTROL: Rules(
        publish=(*_of_all_devices(*ORDERS), DYNAMIC_SECURITY),
        subscribe=(*_of_all_devices(*RESULTS), DYNAMIC_SECURITY_RESPONSE),
    ),
}
