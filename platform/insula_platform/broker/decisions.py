"""Who may connect, publish and subscribe, where a broker asks the platform: over HTTP, or in its process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from insula_platform.broker.device_logins import DeviceLogins
from insula_tenants.broker.passwords import PasswordHash, hash_password, verify_password
from insula_tenants.broker.refusals import Refusals, Refused, What, not_allowed
from insula_tenants.broker.rules import device_rules, rules_of
from insula_tenants.names import DeviceLogin, mqtt_username, parse_username

log = logging.getLogger("insula.broker")

Outcome = Literal["allowed", "nobody", "denied", "other-client-id", "registry-away"]


class Decision(NamedTuple):
    """What becomes of a connection."""

    outcome: Outcome
    kept: PasswordHash | None = None
    """The hash that the password was checked against, of one that is allowed."""


class Decisions:
    """Decides by the registry, and notes what it refuses to devices."""

    def __init__(self, logins: DeviceLogins, services: Mapping[str, SecretStr], refusals: Refusals) -> None:
        """`services` maps a service's login to its password."""
        self._logins = logins
        self._services = {name: hash_password(one.get_secret_value()) for name, one in services.items()}
        self._refusals = refusals
        self._registry_away = False

    def is_service(self, username: str) -> bool:
        """Whether this is a login of one of the platform's own services."""
        return username in self._services

    async def connect(
        self, username: str, password: str | None, client_id: str, *, will_topic: str | None = None
    ) -> Decision:
        """Whether a client may connect; `will_topic` is that of its last will, if it has one."""
        if rules_of(username) is None or password is None:
            return Decision("nobody")
        if (service := self._services.get(username)) is not None:
            right = verify_password(password, service)
            return Decision("allowed", service) if right else Decision("denied")
        login = parse_username(username)
        if login is None:  # a service's name, which has no password here
            return Decision("denied")
        return await self._connect_device(login, password, client_id, will_topic)

    async def _connect_device(
        self, login: DeviceLogin, password: str, client_id: str, will_topic: str | None
    ) -> Decision:
        username, rules = mqtt_username(*login), device_rules(login.tenant, login.device)
        try:
            found = await self._logins.verify(username, password)
            reason = None if found else await self._logins.explain(username)
        except SQLAlchemyError:
            self.note_registry(away=True)
            return Decision("registry-away")
        self.note_registry(away=False)
        outcome: Outcome = "denied"
        if found is not None and will_topic is not None and not rules.may_publish(will_topic):
            reason = f"its last will: {not_allowed('publish', will_topic)}"
        elif found is not None and client_id != login.client_id:
            outcome, reason = "other-client-id", f"the client id is not {login.client_id}"
        elif found is not None:
            return Decision("allowed", found)
        if reason is not None:
            self._note(username, "connection", reason)
        return Decision(outcome)

    def may_publish(self, username: str, topic: str) -> bool:
        """Whether the login may publish on this topic."""
        rules = rules_of(username)
        return self._told(username, "publish", topic, rules is not None and rules.may_publish(topic))

    def may_subscribe(self, username: str, topic_filter: str) -> bool:
        """Whether the login may subscribe to this filter."""
        rules = rules_of(username)
        allowed = rules is not None and rules.may_subscribe(topic_filter)
        return self._told(username, "subscribe", topic_filter, allowed)

    def may_receive(self, username: str, topic: str) -> bool:
        """Whether a message on this topic may be delivered to the login."""
        rules = rules_of(username)
        return rules is not None and rules.may_receive(topic)

    def note_registry(self, *, away: bool) -> None:
        """Log once that the registry is away, and once that it is back."""
        if away and not self._registry_away:
            log.warning("the registry does not answer: connected devices stay, new ones are turned away")
        elif self._registry_away and not away:
            log.warning("the registry answers again")
        self._registry_away = away

    def _told(self, username: str, what: What, topic: str, allowed: bool) -> bool:
        if not allowed:
            self._note(username, what, not_allowed(what, topic))
        return allowed

    def _note(self, username: str, what: What, reason: str) -> None:
        if login := parse_username(username):
            self._refusals.note(Refused(login.tenant, login.device, what, reason))
