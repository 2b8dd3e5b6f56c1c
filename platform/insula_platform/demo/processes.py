"""Child processes: started in order, watched, ended in reverse order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from insula_tenants.errors import InsulaError

_PATIENCE = 10.0
"""Seconds a child has to end after SIGTERM."""


class ChildFailed(InsulaError):
    """A part of the platform did not start."""


@dataclass(slots=True)
class Child:
    """One process, its log file, and how it is started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    restart_at: float | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that the terminal's Ctrl-C reaches the parent alone."""
        self.starts += 1
        self.restart_at = None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def last_lines(self, count: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-count:])


@dataclass(slots=True)
class Processes:
    """All children of the demo."""

    directory: Path
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a child whose output goes to `<name>.log`, emptied first."""
        log = self.directory / f"{name}.log"
        log.write_bytes(b"")
        child = Child(name, command, environment or {}, log)
        self.children.append(child)
        child.start()
        return child

    def wait_ready(self, child: Child, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Return when `ready()`; raise `ChildFailed` when the child ends or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert child.process is not None  # noqa: S101 - it was started
            if child.process.poll() is not None:
                raise ChildFailed(
                    f"{child.name} ended with {child.process.returncode}:\n{child.last_lines()}"
                )
            if time.monotonic() > deadline:
                raise ChildFailed(f"{child.name} is not ready after {seconds:.0f} s:\n{child.last_lines()}")
            time.sleep(0.05)

    def restart_ended(self) -> list[Child]:
        """Start children that ended again, each time a little later; returns those that just ended."""
        ended = []
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            if child.restart_at is None:
                child.restart_at = time.monotonic() + min(2 ** (child.starts - 1), 30)
                ended.append(child)
            elif time.monotonic() >= child.restart_at:
                child.start()
        return ended

    def stop(self) -> None:
        """End all, the last started first; whoever does not end in time is killed."""
        for child in reversed(self.children):
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
                try:
                    child.process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    os.killpg(child.process.pid, signal.SIGKILL)
                    child.process.wait()
        self.children.clear()
