"""One administrator's connection to Mosquitto's dynamic-security plugin.

The plugin answers on a topic that every administrator hears, so each command carries data to find its answer
by. Commands and answers: https://mosquitto.org/documentation/dynamic-security/
"""

from __future__ import annotations

import json
import queue
import secrets
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from insula_tenants.broker.access import BrokerRefused, BrokerUnreachable
from insula_tenants.broker.rules import DYNAMIC_SECURITY, DYNAMIC_SECURITY_RESPONSE

Command = dict[str, Any]
Answer = dict[str, Any]

TIMEOUT = 10.0
"""Seconds to wait for a connection, and for the answers to one message."""
COMMANDS_PER_MESSAGE = 20
"""The plugin writes its whole file after each command, 9 ms at 1 000 devices, and Mosquitto does nothing else
until it is through with the message."""


class Conversation:
    """One connection of an administrator, and the answers that arrive on it."""

    def __init__(
        self, address: tuple[str, int], username: str, password: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._username = username
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{username}-{secrets.token_hex(8)}",
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
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

    def say_all(self, commands: Sequence[Command], *, tolerated: Iterable[str] = ()) -> list[Answer]:
        """`say` for any number of commands, with pauses in which the broker serves everybody else."""
        tolerated = frozenset(tolerated)
        return [
            answer
            for start in range(0, len(commands), COMMANDS_PER_MESSAGE)
            for answer in self.say(commands[start : start + COMMANDS_PER_MESSAGE], tolerated=tolerated)
        ]

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


def take_over(
    address: tuple[str, int], username: str, password: str, client_id: str, tls: ssl.SSLContext | None
) -> None:
    """Connect under this client id with a clean start, and leave: nothing is kept for it any more.

    Raises `BrokerUnreachable` and `BrokerRefused`.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
    )
    client.username_pw_set(username, password)
    if tls is not None:
        client.tls_set_context(tls)
    client.connect_timeout = TIMEOUT
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.on_connect = lambda _c, _u, _f, code, _p: answers.put(code)
    where = "{}:{}".format(*address)
    try:
        client.connect(*address, clean_start=True)
        client.loop_start()
        if (code := answers.get(timeout=TIMEOUT)).is_failure:
            raise BrokerRefused(f"the broker at {where} did not let go of the session {client_id!r}: {code}")
    except (OSError, ValueError, queue.Empty) as error:
        raise BrokerUnreachable(f"cannot connect to the broker at {where}: {error}") from error
    finally:
        client.disconnect()
        client.loop_stop()
