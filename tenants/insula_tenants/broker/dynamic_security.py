"""Logins in Mosquitto's dynamic-security plugin, by the commands it takes on `$CONTROL/dynamic-security/v1`.

Each device has a role of its own, which its logins share: Mosquitto 2.0 knows no `%u` in these rules.

A device is bound to its client id too, whichever of its logins it uses (see `rules`). Mosquitto's
`use_username_as_clientid` would spare devices that setting, but must stay off: seen with 2.0.11, and the same
in the source of 2.0.22, a client without any login can then remove the session of any client id it names,
with all that is queued there.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, NamedTuple

from insula_tenants.broker.access import (
    DeviceGrant,
    Drift,
    Login,
    check_login,
)
from insula_tenants.broker.conversation import Command, Conversation, take_over
from insula_tenants.broker.passwords import new_password
from insula_tenants.broker.rules import Rules, device_rules, service_rules
from insula_tenants.names import check_slug, device_topic, mqtt_username, parse_username

ALREADY_THERE = {"Client already exists", "Role already exists"}
NOT_THERE = {"Client not found", "Role not found"}
FORGETS = "insula-forgets-"
"""What the names of logins begin with that live for a moment, to end a session."""
DEVICE_ROLE = "device/"
"""What the names of devices' roles begin with."""


def device_role(username: str) -> str:
    """Name of the role of the device that has this login."""
    login = parse_username(username)
    return f"{DEVICE_ROLE}{login.client_id if login else username}"


def service_role(service: str) -> str:
    """Name of the role of a service."""
    return f"service/{service}"


def access_list(rules: Rules) -> list[dict[str, object]]:
    """The rules as the plugin's `acls`.

    What is delivered is bounded as well as what is subscribed to: a subscription outlives its right in a
    persistent session (CVE-2021-34434).
    """
    return [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
        for kind, topics in (
            ("publishClientSend", rules.publish),
            ("publishClientReceive", rules.receive),
            ("subscribePattern", rules.subscribe),
        )
        for topic in topics
    ]


class DynamicSecurity:
    """`BrokerAccess` for Mosquitto. Each call is one short connection, so it may be used from any thread."""

    takes: Literal["password", "certificate"] = "password"

    def __init__(
        self, host: str, port: int, username: str, password: str, tls: ssl.SSLContext | None = None
    ) -> None:
        """`username` is a login with the rules of `insula-control`; without `tls` it goes in the clear."""
        self._address = (host, port)
        self._username = username
        self._password = password
        self._tls = tls

    def grant(self, tenant_slug: str, device_slug: str, password: str, username: str | None = None) -> None:
        """See `BrokerAccess.grant`."""
        self.grant_many([DeviceGrant(tenant_slug, device_slug, password, username)])

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """See `BrokerAccess.grant_many`."""
        logins = []
        for one in grants:
            rules = device_rules(one.tenant, one.device)
            client_id = mqtt_username(one.tenant, one.device)
            logins.append(_login(one.login, one.password, device_role(client_id), rules, client_id=client_id))
        self._set(logins)

    def grant_service(self, service: str, password: str) -> None:
        """See `BrokerAccess.grant_service`."""
        self._set([_login(service, password, service_role(service), service_rules(service), client_id="")])

    def withdraw(self, tenant_slug: str, device_slug: str, username: str) -> None:
        """See `BrokerAccess.withdraw`. The role stays as long as another login of the device has it."""
        username = check_login(tenant_slug, device_slug, username)
        with self._connected() as conversation:
            conversation.say([{"command": "deleteClient", "username": username}], tolerated=NOT_THERE)

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """See `BrokerAccess.revoke`.

        The session goes with the logins, and what waits in it. What the device itself left retained, its
        status, Mosquitto keeps to itself from now on: it checks that the author may still publish it.
        """
        first = check_login(tenant_slug, device_slug, None)
        role = device_role(first)
        with self._connected() as conversation:
            logins = [name for name in _usernames(conversation) if device_role(name) == role]
            # The role goes last: Mosquitto 2.0.11 dies of one that is deleted while a login has it.
            conversation.say_all([*_deletions(logins), *_role_deletions([role])], tolerated=NOT_THERE)
            self._forget_session(conversation, first)
            conversation.forget_retained(device_topic(tenant_slug, device_slug, "desired"))

    def suspend_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.suspend_tenant`."""
        check_slug(tenant_slug, field="tenant")
        self._switch(lambda tenant: True if tenant == tenant_slug else None)

    def resume_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.resume_tenant`."""
        check_slug(tenant_slug, field="tenant")
        self._switch(lambda tenant: False if tenant == tenant_slug else None)

    def align(self, closed: Collection[str]) -> None:
        """See `BrokerAccess.align`."""
        self._switch(lambda tenant: tenant in closed)

    def reconcile(self, wanted: Callable[[], Collection[Login]]) -> Drift:
        """See `BrokerAccess.reconcile`.

        What is missing stays so: the plugin's commands take a password and never its hash, and the registry
        has only that. The plugin's file takes hashes: `insula broker logins` writes it from the registry.
        """
        before = {one.username for one in wanted()}
        with self._connected() as conversation:
            there = {one.username: one for one in _devices(conversation)}
            rules = _device_rules(conversation)
            registry = {one.username: one for one in wanted()}
            comparison = compare(there, rules, registry)
            conversation.say_all(comparison.commands, tolerated=NOT_THERE | ALREADY_THERE)
        missing = sorted((before & registry.keys()) - there.keys())
        return replace(comparison.drift, missing=tuple(missing))

    def forget_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.forget_tenant`."""
        check_slug(tenant_slug, field="tenant")
        with self._connected() as conversation:
            names = [name for name in _usernames(conversation) if name.startswith(f"{tenant_slug}/")]
            roles = {device_role(name) for name in names}
            conversation.say_all([*_deletions(names), *_role_deletions(roles)], tolerated=NOT_THERE)
            devices = {login.device for name in names if (login := parse_username(name))}
            for device in sorted(devices):
                self._forget_session(conversation, mqtt_username(tenant_slug, device))
                conversation.forget_retained(device_topic(tenant_slug, device, "desired"))

    def logins_of(self, tenant_slug: str) -> list[str]:
        """See `BrokerAccess.logins_of`."""
        check_slug(tenant_slug, field="tenant")
        with self._connected() as conversation:
            return [name for name in _usernames(conversation) if name.startswith(f"{tenant_slug}/")]

    def _forget_session(self, conversation: Conversation, client_id: str) -> None:
        """Drop what the broker keeps for this client id: its subscriptions, and orders that it did not fetch.

        A session outlives the login that it was opened by, and would be there for whoever is given the same
        name later. Only its own client id can end it, so a login for that is made, without any rights.
        """
        username, password = f"{FORGETS}{secrets.token_hex(8)}", new_password()
        login = {"command": "createClient", "username": username, "password": password}
        conversation.say([{**login, "clientid": client_id}])
        try:
            take_over(self._address, username, password, client_id, self._tls)
        finally:
            conversation.say([{"command": "deleteClient", "username": username}], tolerated=NOT_THERE)

    def _switch(self, closed: Callable[[str], bool | None]) -> None:
        """Disable or enable logins as `closed` says of their tenant; for None they stay as they are.

        Only those that change are told to the broker: it writes its file for each. Disabling a login ends
        its live session.
        """
        with self._connected() as conversation:
            commands = [
                _switching(one.username, closed=wanted)
                for one in _devices(conversation)
                if (wanted := closed(one.username.partition("/")[0])) is not None and wanted != one.closed
            ]
            conversation.say_all(commands, tolerated=NOT_THERE)

    def _set(self, logins: Sequence[tuple[Command, Command]]) -> None:
        """Make the logins and their roles; what is there already is made to be like that.

        A login that was closed stays so: its tenant is suspended.
        """
        if not logins:
            return
        roles = {role["rolename"]: role for role, _ in logins}
        with self._connected() as conversation:
            for commands in ([*roles.values()], [client for _, client in logins]):
                create = [{**one, "command": f"create{one['command']}"} for one in commands]
                answers = conversation.say_all(create, tolerated=ALREADY_THERE)
                known = [one for one, answer in zip(commands, answers, strict=True) if "error" in answer]
                conversation.say_all([{**one, "command": f"modify{one['command']}"} for one in known])

    @contextmanager
    def _connected(self) -> Iterator[Conversation]:
        conversation = Conversation(self._address, self._username, self._password, self._tls)
        try:
            conversation.open()
            yield conversation
        finally:
            conversation.close()


def _login(
    username: str, password: str, role: str, rules: Rules, *, client_id: str
) -> tuple[Command, Command]:
    """A role and a client with it; `command` lacks its verb, create or modify, which take the same fields."""
    return (
        {"command": "Role", "rolename": role, "acls": access_list(rules)},
        {
            "command": "Client",
            "username": username,
            "password": password,
            "clientid": client_id,
            "roles": [{"rolename": role}],
        },
    )


class KeptLogin(NamedTuple):
    """A device's login as the plugin keeps it."""

    username: str
    client_id: str
    roles: tuple[str, ...]
    closed: bool


class Comparison(NamedTuple):
    """What differs, but for what is missing, and the commands that put it right."""

    drift: Drift
    commands: list[Command]


def compare(
    there: Mapping[str, KeptLogin], rules: Mapping[str, Collection[Command]], registry: Mapping[str, Login]
) -> Comparison:
    """Compare the plugin's logins, and the `acls` of its roles by name, with the registry's logins."""
    strays = sorted(there.keys() - registry.keys())
    commands = _deletions(strays)
    altered: set[str] = set()
    switched: list[str] = []
    roles: set[str] = set()
    for username in sorted(there.keys() & registry.keys()):
        kept, login = there[username], registry[username]
        role, client_id = device_role(username), mqtt_username(login.tenant, login.device)
        wanted = access_list(device_rules(login.tenant, login.device))
        if not _same_rules(rules.get(role), wanted):
            altered.add(username)
            if role not in roles:
                verb = "modifyRole" if role in rules else "createRole"
                commands.append({"command": verb, "rolename": role, "acls": wanted})
        roles.add(role)
        if (kept.client_id, kept.roles) != (client_id, (role,)):
            altered.add(username)
            commands.append(
                {
                    "command": "modifyClient",
                    "username": username,
                    "clientid": client_id,
                    "roles": [{"rolename": role}],
                }
            )
        if kept.closed != login.closed:
            switched.append(username)
            commands.append(_switching(username, closed=login.closed))
    owned = {device_role(username) for username in registry}
    commands += _role_deletions(rules.keys() - owned)
    return Comparison(
        Drift(strays=tuple(strays), switched=tuple(switched), altered=tuple(sorted(altered))), commands
    )


def _same_rules(kept: Collection[Command] | None, wanted: Collection[Command]) -> bool:
    def as_set(rules: Collection[Command]) -> set[tuple[object, ...]]:
        return {(one["acltype"], one["topic"], one.get("allow")) for one in rules}

    return kept is not None and as_set(kept) == as_set(wanted)


def _switching(username: str, *, closed: bool) -> Command:
    return {"command": "disableClient" if closed else "enableClient", "username": username}


def _deletions(usernames: Iterable[str]) -> list[Command]:
    return [{"command": "deleteClient", "username": name} for name in usernames]


def _role_deletions(roles: Iterable[str]) -> list[Command]:
    return [{"command": "deleteRole", "rolename": role} for role in sorted(roles)]


def _usernames(conversation: Conversation) -> list[str]:
    """User names of all devices."""
    (answer,) = conversation.say([{"command": "listClients", "count": -1, "offset": 0}])
    return [str(name) for name in answer.get("data", {}).get("clients", []) if "/" in str(name)]


def _devices(conversation: Conversation) -> list[KeptLogin]:
    """The logins of all devices."""
    (answer,) = conversation.say([{"command": "listClients", "verbose": True, "count": -1, "offset": 0}])
    return [
        KeptLogin(
            str(one["username"]),
            str(one.get("clientid", "")),
            tuple(role["rolename"] for role in one.get("roles", ())),
            bool(one.get("disabled", False)),
        )
        for one in answer.get("data", {}).get("clients", [])
        if "/" in str(one.get("username", ""))
    ]


def _device_rules(conversation: Conversation) -> dict[str, list[Command]]:
    """The `acls` of all devices' roles, by the role's name."""
    (answer,) = conversation.say([{"command": "listRoles", "verbose": True, "count": -1, "offset": 0}])
    return {
        one["rolename"]: one.get("acls", [])
        for one in answer.get("data", {}).get("roles", [])
        if one["rolename"].startswith(DEVICE_ROLE)
    }
