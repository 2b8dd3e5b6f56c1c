"""Logins in Mosquitto's dynamic-security plugin, by the commands it takes on `$CONTROL/dynamic-security/v1`.

Each device has a role of its own, which its logins share: Mosquitto 2.0 knows no `%u` in these rules. The
plugin answers on a topic that every administrator hears, so each command carries data to find its answer by.
Commands and answers: https://mosquitto.org/documentation/dynamic-security/

A device is bound to its client id too, whichever of its logins it uses (see `rules`). Mosquitto's
`use_username_as_clientid` would spare devices that setting, but must stay off: seen with 2.0.11, and the same
in the source of 2.0.22, a client without any login can then remove the session of any client id it names,
with all that is queued there.
"""

from __future__ import annotations

import json
import queue
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from insula_tenants.broker.access import BrokerRefused, BrokerUnreachable, DeviceGrant
from insula_tenants.broker.rules import (
    DYNAMIC_SECURITY,
    DYNAMIC_SECURITY_RESPONSE,
    Rules,
    device_rules,
    service_rules,
)
from insula_tenants.names import check_slug, device_topic, mqtt_username, parse_username

Command = dict[str, Any]
Answer = dict[str, Any]

TIMEOUT = 10.0
"""Seconds to wait for a connection, and for the answers to one message."""
LOGINS_PER_MESSAGE = 10
"""The plugin writes its whole file after each command, 18 ms at 1 000 devices, and Mosquitto does nothing
else until it is through with the message."""
ALREADY_THERE = {"Client already exists", "Role already exists"}
NOT_THERE = {"Client not found", "Role not found"}


def device_role(username: str) -> str:
    """Name of the role of the device that has this login."""
    login = parse_username(username)
    return f"device/{login.client_id if login else username}"


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

    def __init__(self, host: str, port: int, username: str, password: str) -> None:
        """`username` is a login with the rules of `insula-control`."""
        self._address = (host, port)
        self._username = username
        self._password = password

    def grant(self, tenant_slug: str, device_slug: str, password: str) -> None:
        """See `BrokerAccess.grant`."""
        self.grant_many([DeviceGrant(tenant_slug, device_slug, password)])

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """See `BrokerAccess.grant_many`."""
        logins = []
        for tenant, device, password in grants:
            rules = device_rules(tenant, device)
            username = mqtt_username(tenant, device)
            logins.append(_login(username, password, device_role(username), rules, client_id=username))
        self._set(logins)

    def grant_service(self, service: str, password: str) -> None:
        """See `BrokerAccess.grant_service`."""
        self._set([_login(service, password, service_role(service), service_rules(service), client_id="")])

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """See `BrokerAccess.revoke`.

        What the device itself left retained, its status, Mosquitto keeps to itself from now on: it checks
        that the author may still publish it.
        """
        device_rules(tenant_slug, device_slug)
        username = mqtt_username(tenant_slug, device_slug)
        with self._connected() as conversation:
            conversation.say(
                [
                    {"command": "deleteClient", "username": username},
                    {"command": "deleteRole", "rolename": device_role(username)},
                ],
                tolerated=NOT_THERE,
            )
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

    def forget_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.forget_tenant`."""
        check_slug(tenant_slug, field="tenant")
        with self._connected() as conversation:
            names = [name for name, _ in _devices(conversation) if name.startswith(f"{tenant_slug}/")]
            commands = [
                command
                for name in names
                for command in (
                    {"command": "deleteClient", "username": name},
                    {"command": "deleteRole", "rolename": device_role(name)},
                )
            ]
            for start in range(0, len(commands), LOGINS_PER_MESSAGE):
                conversation.say(commands[start : start + LOGINS_PER_MESSAGE], tolerated=NOT_THERE)
            devices = {login.device for name in names if (login := parse_username(name))}
            for device in sorted(devices):
                conversation.forget_retained(device_topic(tenant_slug, device, "desired"))

    def logins_of(self, tenant_slug: str) -> list[str]:
        """See `BrokerAccess.logins_of`."""
        check_slug(tenant_slug, field="tenant")
        with self._connected() as conversation:
            return [name for name, _ in _devices(conversation) if name.startswith(f"{tenant_slug}/")]

    def _switch(self, closed: Callable[[str], bool | None]) -> None:
        """Disable or enable logins as `closed` says of their tenant; for None they stay as they are.

        Only those that change are told to the broker: it writes its file for each. Disabling a login ends
        its live session.
        """
        with self._connected() as conversation:
            commands = [
                {"command": "disableClient" if wanted else "enableClient", "username": name}
                for name, disabled in _devices(conversation)
                if (wanted := closed(name.partition("/")[0])) is not None and wanted != disabled
            ]
            for start in range(0, len(commands), LOGINS_PER_MESSAGE):
                conversation.say(commands[start : start + LOGINS_PER_MESSAGE], tolerated=NOT_THERE)

    def _set(self, logins: Sequence[tuple[Command, Command]]) -> None:
        if not logins:
            return
        with self._connected() as conversation:
            for start in range(0, len(logins), LOGINS_PER_MESSAGE):
                commands = [
                    command for login in logins[start : start + LOGINS_PER_MESSAGE] for command in login
                ]
                create = [{**one, "command": f"create{one['command']}"} for one in commands]
                answers = conversation.say(create, tolerated=ALREADY_THERE)
                known = [one for one, answer in zip(commands, answers, strict=True) if "error" in answer]
                conversation.say([{**one, "command": f"modify{one['command']}"} for one in known])

    @contextmanager
    def _connected(self) -> Iterator[_Conversation]:
        conversation = _Conversation(self._address, self._username, self._password)
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


def _devices(conversation: _Conversation) -> list[tuple[str, bool]]:
    """User names of all devices, with whether each is disabled."""
    (answer,) = conversation.say([{"command": "listClients", "verbose": True, "count": -1, "offset": 0}])
    clients = answer.get("data", {}).get("clients", [])
    return [
        (str(one["username"]), bool(one.get("disabled", False)))
        for one in clients
        if "/" in str(one.get("username", ""))
    ]


class _Conversation:
    """One connection of an administrator, and the answers that arrive on it."""

    def __init__(self, address: tuple[str, int], username: str, password: str) -> None:
        self._address = address
        self._username = username
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{username}-{secrets.token_hex(8)}",
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(username, password)
        self._client.connect_timeout = TIMEOUT
        self._arrived: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        # The callbacks hold the queue and not this object: in a circle of references, paho's sockets would
        # stay open until the garbage collector comes by.
        arrive = self._arrived.put
        self._client.on_connect = lambda _c, _u, _f, code, _p: arrive(("connected", code))
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: arrive(("subscribed", codes[0]))
        self._client.on_publish = lambda _c, _u, mid, code, _p: arrive((f"published {mid}", code))
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: arrive(("disconnected", code))
        self._client.on_message = lambda _c, _u, message: arrive(("answers", message.payload))

    def open(self) -> None:
        """Connect and listen for answers."""
        try:
            self._client.connect(*self._address, clean_start=True)
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"cannot connect to the broker at {self._where}: {error}") from error
        self._client.loop_start()
        self._expect("connected")
        self._client.subscribe(DYNAMIC_SECURITY_RESPONSE, qos=1)
        self._expect("subscribed")

    def close(self) -> None:
        """Leave; nothing of this connection stays at the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, commands: Sequence[Command], *, tolerated: Iterable[str] = ()) -> list[Answer]:
        """The answers to the commands, in their order; an `error` that is not tolerated is raised."""
        if not commands:
            return []
        key = secrets.token_hex(8)
        written = [{**command, "correlationData": f"{key}/{index}"} for index, command in enumerate(commands)]
        self._client.publish(DYNAMIC_SECURITY, json.dumps({"commands": written}), qos=1)
        answers: dict[str, Answer] = {}
        deadline = time.monotonic() + TIMEOUT
        while len(answers) < len(commands):
            for answer in json.loads(self._expect("answers", deadline)).get("responses", ()):
                correlation = str(answer.get("correlationData", ""))
                if correlation.startswith(f"{key}/"):
                    answers[correlation] = answer
        ordered = [answers[command["correlationData"]] for command in written]
        for command, answer in zip(commands, ordered, strict=True):
            if "error" in answer and answer["error"] not in tolerated:
                subject = command.get("username") or command.get("rolename")
                raise BrokerRefused(
                    f"the broker refused {command['command']} of {subject}: {answer['error']}"
                )
        return ordered

    def forget_retained(self, topic: str) -> None:
        """Remove the message that is retained on the topic."""
        message = self._client.publish(topic, b"", qos=1, retain=True)
        self._expect(f"published {message.mid}")

    @property
    def _where(self) -> str:
        return "{}:{}".format(*self._address)

    def _expect(self, what: str, deadline: float | None = None) -> Any:
        """What comes with the next event of this kind; other events before it are passed over."""
        deadline = deadline or time.monotonic() + TIMEOUT
        while True:
            try:
                event, detail = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise BrokerUnreachable(
                    f"the broker at {self._where} gave no answer within {TIMEOUT:.0f} s: "
                    "does it run the dynamic-security plugin?"
                ) from None
            if event == "disconnected":
                raise BrokerUnreachable(f"the broker at {self._where} closed the connection: {detail}")
            if event != "answers" and detail.is_failure:
                raise BrokerRefused(
                    f"the broker at {self._where} refused {self._username!r} ({event}): {detail}. "
                    "Check INSULA_BROKER_ADMIN_USERNAME and INSULA_BROKER_ADMIN_PASSWORD"
                )
            if event == what:
                return detail
