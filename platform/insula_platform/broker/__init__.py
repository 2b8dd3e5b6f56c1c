"""The broker of a deployment that brings none: Mosquitto where it is installed, else amqtt.

A supervisor asks `choose_broker()`, then starts `mosquitto_command(…)`, or `amqtt_command()` with
`amqtt_environment(…)` added to the environment. The services' `INSULA_BROKER_ACCESS` follows from the choice:
`dynamic-security` with Mosquitto, `none` with amqtt.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from typing import Literal

from pydantic import SecretStr

from insula_platform.broker.mosquitto import mosquitto_command, mosquitto_missing
from insula_tenants.errors import ConfigurationError

__all__ = ["amqtt_command", "amqtt_environment", "choose_broker", "mosquitto_command", "mosquitto_missing"]


def choose_broker() -> Literal["mosquitto", "amqtt"]:
    """The broker to start here; where it is amqtt, `mosquitto_missing()` says why.

    Raises `ConfigurationError` when there is neither.
    """
    missing = mosquitto_missing()
    if missing is None:
        return "mosquitto"
    if importlib.util.find_spec("amqtt") is None:
        raise ConfigurationError(f"{missing}, or install the extra `insula[demo]` for a broker in Python")
    return "amqtt"


def amqtt_command() -> list[str]:
    """The command that starts amqtt; its settings and secrets are `amqtt_environment`."""
    return [sys.executable, "-m", "insula_platform.broker.amqtt_broker"]


def amqtt_environment(
    port: int, services: Mapping[str, SecretStr], database_url: SecretStr
) -> dict[str, str]:
    """The environment amqtt is started with: it listens on loopback and asks the registry for devices.

    `services` maps each service's login to its password. Both it and the database's URL are secrets.
    """
    return {
        "INSULA_BROKER_PORT": str(port),
        "INSULA_BROKER_SERVICES": json.dumps(
            {name: password.get_secret_value() for name, password in services.items()}
        ),
        "INSULA_DATABASE_URL": database_url.get_secret_value(),
    }
