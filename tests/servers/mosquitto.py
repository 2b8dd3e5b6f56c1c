"""A real Mosquitto on a free loopback port."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from insula_platform.broker import mosquitto_command
from insula_tenants.broker import CONTROL, INGEST, PLATFORM, new_password
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.broker.x509 import access_file
from tests.servers.certificates import ServerFiles
from tests.servers.programs import program


def free_port() -> int:
    """A TCP port that nobody listens on just now.

    It stays ours until the server listens, and while it restarts: it is below the ports that the system gives
    to whoever asks for any, and no other process of pytest-xdist chooses among the same ones.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    candidates = range(20_000 + worker, 32_000, workers)
    while True:
        port = random.choice(candidates)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class BrokerProcess:
    """A broker as a child process that logs to `log`."""

    def __init__(
        self, directory: Path, command: list[str], environment: dict[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.log = directory / "output.log"
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, port: int) -> None:
        """Start and wait until it accepts connections on the port."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)
            else:
                return

    def send_signal(self, which: signal.Signals) -> None:
        """Halt it or let it go on."""
        assert self._process is not None
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End the process and give its exit code; with SIGTERM Mosquitto writes its sessions to disk."""
        if self._process is None:
            return None
        self._process.send_signal(how)
        code = self._process.wait(10)
        self._process = None
        return code


class MosquittoServer(BrokerProcess):
    """One broker process; `settings` are further lines of its configuration file."""

    def __init__(self, directory: Path, settings: str = "allow_anonymous true") -> None:
        self.port = free_port()
        config = directory / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {self.port} 127.0.0.1\n{user}persistence true\npersistence_location {directory}/\n"
            f"max_queued_messages 0\n{settings}\n"
        )
        super().__init__(directory, [program("mosquitto"), "-c", str(config)])
        self.log = directory / "mosquitto.log"

    def start(self) -> MosquittoServer:
        """Start and wait until it accepts connections."""
        self.launch(self.port)
        return self


class CertifiedMosquitto(BrokerProcess):
    """Mosquitto as docs/broker.md sets it up for certificates; its folder is `broker-trust`'s too."""

    def __init__(self, directory: Path, files: ServerFiles) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.passwords = {name: new_password() for name in (INGEST, CONTROL, PLATFORM)}
        self.pid_file = directory / "mosquitto.pid"
        documented = (Path(__file__).parents[2] / "docs" / "broker.md").read_text(encoding="utf-8")
        configuration = documented.split("```text\n")[1].split("```")[0]
        for written, here in (
            ("/etc/mosquitto/insula/server.pem", files.certificate),
            ("/etc/mosquitto/insula/server.key", files.key),
            ("/etc/mosquitto/insula", directory),
            ("/run/mosquitto", directory),
            ("listener 1883", f"listener {self.port}"),
            ("listener 8883", f"listener {self.tls_port} 127.0.0.1"),
        ):
            assert written in configuration
            configuration = configuration.replace(written, str(here))
        if os.geteuid() == 0:
            configuration = f"user root\n{configuration}"
        (directory / "mosquitto.conf").write_text(f"{configuration}log_dest file {directory}/mosquitto.log\n")
        (directory / "access").write_text(access_file())
        (directory / "passwords").touch()
        for name, password in self.passwords.items():
            command = [program("mosquitto_passwd"), "-b", str(directory / "passwords"), name, password]
            subprocess.run(command, check=True, capture_output=True)
        super().__init__(directory, [program("mosquitto"), "-c", str(directory / "mosquitto.conf")])

    def start(self) -> CertifiedMosquitto:
        """Start and wait until it accepts connections."""
        self.launch(self.port)
        return self


class SecuredMosquitto(BrokerProcess):
    """Mosquitto as `insula demo` runs it: each device and service has a login."""

    def __init__(self, directory: Path, files: ServerFiles | None = None) -> None:
        """With `files` it has a second listener, over TLS, on `tls_port`."""
        program("mosquitto")
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.files = files
        self.tls_port = free_port() if files else None
        self.passwords = {name: new_password() for name in (INGEST, CONTROL, PLATFORM)}
        super().__init__(directory, [])

    def start(self) -> SecuredMosquitto:
        """Prepare the files, start, and wait until it accepts connections."""
        services = {name: SecretStr(password) for name, password in self.passwords.items()}
        self._command = mosquitto_command(self.directory / "state", self.port, services)
        if self.files:
            with Path(self._command[-1]).open("a", encoding="utf-8") as configuration:
                configuration.write(f"listener {self.tls_port} 127.0.0.1\n{self.files.mosquitto}")
        self.launch(self.port)
        return self

    @property
    def access(self) -> DynamicSecurity:
        """Access with the control service's login."""
        return DynamicSecurity("127.0.0.1", self.port, CONTROL, self.passwords[CONTROL])
