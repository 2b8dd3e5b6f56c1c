"""A real amqtt on a free loopback port, which asks a database for its devices."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from insula_platform.broker import amqtt_command, amqtt_environment
from insula_tenants.broker import CONTROL, INGEST, PLATFORM, new_password
from tests.servers.mosquitto import BrokerProcess, free_port


class AmqttServer(BrokerProcess):
    """One broker process."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.port = free_port()
        self.passwords = {name: new_password() for name in (INGEST, CONTROL, PLATFORM)}
        services = {name: SecretStr(password) for name, password in self.passwords.items()}
        environment = amqtt_environment(self.port, services, SecretStr(database_url))
        super().__init__(directory, amqtt_command(), environment)

    def start(self) -> AmqttServer:
        """Start and wait until it accepts connections."""
        self.launch(self.port)
        return self
