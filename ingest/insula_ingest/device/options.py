"""The command-line options of programs that publish for one device, and the connection they make of them."""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from insula_ingest.device.client import Device, Protocol
from insula_ingest.device.errors import DeviceError

EXIT_DEVICE = 3
"""Exit status when the broker refused, or did not acknowledge, something; 2 is for wrong arguments."""

TenantName = Annotated[str, typer.Option("--tenant", help="Slug of the tenant.")]
DeviceName = Annotated[str, typer.Option("--device", help="Slug of the device.")]
Host = Annotated[str, typer.Option(envvar="INSULA_MQTT_HOST", help="Host name of the MQTT broker.")]
Port = Annotated[int, typer.Option(envvar="INSULA_MQTT_PORT", min=1, max=65535, help="Its port.")]
Tls = Annotated[
    bool, typer.Option("--tls", help="Encrypt. Trusts the system's authorities, or those in SSL_CERT_FILE.")
]
MqttVersion = Annotated[
    Protocol, typer.Option("--protocol", help="MQTT version: 3.1.1 for a broker without MQTT 5.")
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        envvar="INSULA_DEVICE_PASSWORD_FILE",
        exists=True,
        dir_okay=False,
        help="File with the device's password; without it, INSULA_DEVICE_PASSWORD is read.",
    ),
]


def make_device(
    tenant: str,
    device: str,
    *,
    host: str,
    port: int,
    tls: bool,
    protocol: Protocol,
    password_file: Path | None = None,
    password: str | None = None,
) -> Device:
    """The device that the options describe, not yet connected; `typer.BadParameter` says what is wrong."""
    try:
        if password_file is not None:
            password = password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return Device(
            tenant,
            device,
            password=password,
            host=host,
            port=port,
            tls=ssl.create_default_context() if tls else None,
            protocol=protocol,
        )
    except UnicodeDecodeError:
        raise typer.BadParameter(f"the password in {password_file} is not UTF-8") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def device_errors() -> Iterator[None]:
    """Log to standard error; end the program with one line and status 3 on a `DeviceError`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        yield
    except DeviceError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(EXIT_DEVICE) from None
