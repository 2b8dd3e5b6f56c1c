"""Logins of many devices as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from insula_tenants.names import device_topic, mqtt_username
from insula_tenants.settings import TenantsSettings


def credentials_csv(settings: TenantsSettings, tenant: str, passwords: Mapping[str, str]) -> str:
    """What each device is to be told, a line for each. `passwords` are by device."""
    host, port, tls = settings.devices_broker
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(["device", "username", "password", "client_id", "host", "port", "tls", "telemetry_topic"])
    for device, password in passwords.items():
        username = mqtt_username(tenant, device)
        topic = device_topic(tenant, device, "telemetry")
        writer.writerow([device, username, password, username, host, port, str(tls).lower(), topic])
    return written.getvalue()
