"""`insula broker …`: files that a Mosquitto of one's own needs."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import typer

broker = typer.Typer(help="What the MQTT broker needs to know.", no_args_is_help=True)


@broker.command(name="logins")
def logins() -> None:
    """Print the file of Mosquitto's dynamic-security plugin with every login that the registry knows.

    For a broker that lost its own. The services' passwords are read from INSULA_BROKER_SERVICES.
    """
    from insula_platform.broker.mosquitto import all_logins, device_login
    from insula_platform.settings import PlatformSettings
    from insula_tenants.database import Databases
    from insula_tenants.devices.logins import registered_logins

    settings = PlatformSettings()
    with closing(Databases(settings.service_urls(), pool_size=1)) as databases:
        devices = [device_login(one) for one in registered_logins(databases)]
    json.dump(all_logins(settings.broker_services, devices), sys.stdout, indent=1)


@broker.command(name="access-file")
def access_file() -> None:
    """Print Mosquitto's access file for devices with certificates: the same whichever devices there are."""
    from insula_tenants.broker.x509 import access_file as lines

    sys.stdout.write(lines())
