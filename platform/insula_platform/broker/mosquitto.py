"""Mosquitto as a child process: its files, and the command that starts it.

A session that ingest left keeps all that arrives for it: no queue has a limit, and the sessions are written
to disk on SIGTERM and about every two seconds. `kill -9` loses what was acknowledged since the last time, and
no setting of Mosquitto changes that: docs/durability.md has what was measured, and how nothing is lost still.
`max_inflight_messages` stays at Mosquitto's 20: a client that states a receive maximum (MQTT 5) gets that,
the others a bound they can bear.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from insula_tenants.broker.dynamic_security import access_list, device_role, service_role
from insula_tenants.broker.passwords import PasswordHash, hash_password
from insula_tenants.broker.rules import Rules, rules_of, service_rules
from insula_tenants.devices.logins import RegisteredLogin
from insula_tenants.errors import ConfigurationError
from insula_tenants.names import mqtt_username

SEARCHED_BESIDE_PATH = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
PLUGIN = "mosquitto_dynamic_security.so"
AUTOSAVE = 1
"""Mosquitto writes sessions and queues to disk when more whole seconds than this have passed since it last
did: every two. 100 000 queued messages (12 MB) take 0.04 s to write. A device sends again what it sent in the
last `insula_ingest.device.sent.KEPT` seconds, which must be longer."""
MAX_PACKET_SIZE = 8 * 1024 * 1024
"""Bytes. An MQTT 5 client is told when it connects; whoever sends more is disconnected."""

CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {logins}
persistence true
persistence_location {state_dir}/
autosave_interval {autosave}
max_queued_messages 0
max_packet_size {max_packet_size}
log_dest file {log}
log_dest topic
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
"""


def find_mosquitto() -> Path | None:
    """The Mosquitto program, on the PATH or where packages put it for administrators."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SEARCHED_BESIDE_PATH])
    found = shutil.which("mosquitto", path=path)
    return Path(found) if found else None


def find_dynamic_security(mosquitto: Path) -> Path | None:
    """The plugin that belongs to this program; some packages leave it out."""
    for prefix in (mosquitto.parent.parent, mosquitto.resolve().parent.parent):
        for pattern in (f"lib/{PLUGIN}", f"lib/*/{PLUGIN}", f"lib64/{PLUGIN}"):
            for found in sorted(prefix.glob(pattern)):
                return found
    return None


def mosquitto_missing() -> str | None:
    """What keeps Mosquitto from being used here, as a sentence that names the fix; None when nothing does."""
    mosquitto = find_mosquitto()
    if mosquitto is None:
        return "Mosquitto is not installed: install the package `mosquitto`"
    if find_dynamic_security(mosquitto) is None:
        return (
            f"{mosquitto} lacks its dynamic-security plugin ({PLUGIN}), without which it cannot keep tenants "
            "apart: install Mosquitto 2.0 or newer from your distribution or Homebrew"
        )
    return None


def mosquitto_command(state_dir: Path, port: int, services: Mapping[str, SecretStr]) -> list[str]:
    """Prepare Mosquitto's files in `state_dir` and give the command that starts it on loopback's `port`.

    `services` maps each service's login to its present password. Devices that were granted earlier stay.
    The log is `state_dir/mosquitto.log`. Raises `ConfigurationError` when Mosquitto or its plugin is missing,
    or when the file of logins is damaged.
    """
    mosquitto = find_mosquitto()
    plugin = find_dynamic_security(mosquitto) if mosquitto else None
    if mosquitto is None or plugin is None:
        raise ConfigurationError(mosquitto_missing())
    state_dir = state_dir.resolve()
    # Mosquitto writes its files anew, with rights of its own choice: the folder is what keeps others out.
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    logins = state_dir / "logins.json"
    _write_private(logins, json.dumps(all_logins(services, _read_devices(logins)), indent=1))
    configuration = CONFIGURATION.format(
        port=port,
        plugin=plugin,
        logins=logins,
        state_dir=state_dir,
        autosave=AUTOSAVE,
        max_packet_size=MAX_PACKET_SIZE,
        log=state_dir / "mosquitto.log",
    )
    if os.geteuid() == 0:
        configuration += "user root\n"  # else it becomes `mosquitto`, who may not enter the folder
    _write_private(state_dir / "mosquitto.conf", configuration)
    return [str(mosquitto), "-c", str(state_dir / "mosquitto.conf")]


def _read_devices(path: Path) -> list[dict[str, Any]]:
    """The logins of devices that Mosquitto has written to its file; a service's has no slash in its name."""
    try:
        clients = json.loads(path.read_text(encoding="utf-8"))["clients"]
        return [one for one in clients if "/" in one["username"]]
    except FileNotFoundError:
        return []
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is not the file of logins that Mosquitto wrote: put back a copy, or remove it and grant "
            "every device anew"
        ) from error


def all_logins(services: Mapping[str, SecretStr], devices: list[dict[str, Any]]) -> dict[str, Any]:
    """The plugin's file with these logins, and the present rules for each."""
    roles = [_role(service_role(service), service_rules(service)) for service in services]
    # By name: the logins of a device share its role.
    bound = {device_role(one["username"]): rules for one in devices if (rules := rules_of(one["username"]))}
    roles += [_role(name, rules) for name, rules in bound.items()]
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [*(_service_login(name, password) for name, password in services.items()), *devices],
        "groups": [],
        "roles": roles,
    }


def device_login(registered: RegisteredLogin) -> dict[str, Any]:
    """A device's login for the plugin's file, from the hash that the registry keeps."""
    login, kept = registered
    return {
        "username": login.username,
        "clientid": mqtt_username(login.tenant, login.device),
        "roles": [{"rolename": device_role(login.username)}],
        "disabled": login.closed,
        **_hashed(kept),
    }


def _service_login(service: str, password: SecretStr) -> dict[str, Any]:
    return {
        "username": service,
        "roles": [{"rolename": service_role(service)}],
        **_hashed(hash_password(password.get_secret_value())),
    }


def _hashed(kept: PasswordHash) -> dict[str, Any]:
    return {
        "password": base64.b64encode(kept.hash).decode("ascii"),
        "salt": base64.b64encode(kept.salt).decode("ascii"),
        "iterations": kept.iterations,
    }


def _role(name: str, rules: Rules) -> dict[str, Any]:
    return {"rolename": name, "acls": access_list(rules)}


def _write_private(path: Path, text: str) -> None:
    """Replace the file in one step; nobody but its owner may read it."""
    new = path.with_name(f"{path.name}.writing")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
