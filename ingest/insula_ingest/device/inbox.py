"""What the platform tells a device: the state it is to have, and commands.

Both are handled one after the other in a thread of their own, so a handler may take its time and may publish.
A message is acknowledged when it is handled: what a program that dies was told comes again to the next one.
A command that comes twice is done once; its result is sent again.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from insula_ingest.device.disk import KEPT_COMMANDS
from insula_ingest.device.errors import DeviceError

log = logging.getLogger(__name__)

DESIRED, COMMANDS = "desired", "commands/+"
"""What a device subscribes to, below its own topic."""

State = dict[str, Any]
DesiredHandler = Callable[[State], None]
CommandHandler = Callable[[dict[str, Any]], Any]
Result = Callable[[str, bytes], None]
"""Sees that the result of a command, by its id, gets to the platform; `DeviceError` when it cannot."""


class _Told(NamedTuple):
    leaf: str
    payload: bytes
    acknowledge: Callable[[], None]


class Inbox:
    """Handlers, and the thread that calls them."""

    def __init__(self, name: str, result: Result) -> None:
        """`name` is the device's, for the log."""
        self._name = name
        self._result = result
        self._desired: list[DesiredHandler] = []
        self._commands: dict[str, CommandHandler] = {}
        self._done: OrderedDict[str, bytes] = OrderedDict()
        self._version = 0
        self._told: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def leaves(self) -> list[str]:
        """What is to be subscribed to."""
        return [*([DESIRED] if self._desired else []), *([COMMANDS] if self._commands else [])]

    def on_desired(self, handler: DesiredHandler) -> None:
        """Call this with each new desired state."""
        self._desired.append(handler)

    def on_command(self, name: str, handler: CommandHandler) -> None:
        """Call this for commands of this name."""
        self._commands[name] = handler

    def remember(self, results: Mapping[str, bytes]) -> None:
        """Results of commands that an earlier program has done."""
        self._done.update(results)

    def start(self) -> None:
        """Start the thread, when there is a handler."""
        if self._thread is None and self.leaves:
            self._thread = threading.Thread(target=self._run, name=f"{self._name} inbox", daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """Let the handler at work finish within `timeout` seconds; what waits comes again next time."""
        self._stopping.set()
        self._told.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def receive(self, leaf: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        """Take in a message, in any thread."""
        self._told.put(_Told(leaf, payload, acknowledge))

    def _run(self) -> None:
        while (told := self._told.get()) is not None and not self._stopping.is_set():
            try:
                if told.leaf == DESIRED:
                    self._handle_desired(told.payload)
                else:
                    self._handle_command(told.leaf.rpartition("/")[2], told.payload)
            except DeviceError as error:
                log.warning("%s: what came on %s comes again: %s", self._name, told.leaf, error)
                continue
            except Exception:
                log.exception("%s: what came on %s could not be handled", self._name, told.leaf)
            told.acknowledge()

    def _handle_desired(self, payload: bytes) -> None:
        document = _object(payload)
        version, state = document.get("version"), document.get("state")
        if not isinstance(version, int) or not isinstance(state, dict) or version <= self._version:
            return  # it comes again with each connection
        for handler in self._desired:
            handler(state)
        self._version = version

    def _handle_command(self, command: str, payload: bytes) -> None:
        result = self._done.get(command)
        if result is None:
            result = json.dumps(self._do(_object(payload)), separators=(",", ":")).encode()
            self._done[command] = result
            while len(self._done) > KEPT_COMMANDS:
                self._done.popitem(last=False)
        self._result(command, result)

    def _do(self, document: dict[str, Any]) -> dict[str, Any]:
        name, payload = document.get("name"), document.get("payload")
        handler = self._commands.get(name) if isinstance(name, str) else None
        if handler is None:
            return {"status": "failed", "error": f"this device knows no command {name!r}"}
        try:
            answer = handler(payload if isinstance(payload, dict) else {})
            json.dumps(answer, allow_nan=False)
        except Exception as error:
            log.exception("%s: the command %s failed", self._name, name)
            return {"status": "failed", "error": f"{type(error).__name__}: {error}"[:2000]}
        return {"status": "succeeded", "result": answer}


def _object(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload; an empty one for anything else."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
