"""A real Mosquitto on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or shutil.which(
    "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
)


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MosquittoServer:
    """One broker process; `settings` are further lines of its configuration file."""

    def __init__(self, directory: Path, settings: str = "allow_anonymous true") -> None:
        assert MOSQUITTO, "mosquitto is not installed: run make system-packages"
        self.port = free_port()
        self.directory = directory
        self.log = directory / "mosquitto.log"
        self._config = directory / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{user}persistence true\npersistence_location {directory}/\n"
            f"max_queued_messages 0\n{settings}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> MosquittoServer:
        """Start and wait until it accepts connections."""
        assert MOSQUITTO
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process; with SIGTERM it writes its sessions and queues to disk."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None
