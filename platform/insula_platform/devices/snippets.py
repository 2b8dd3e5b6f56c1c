"""What a device is told, ready to paste: mosquitto_pub, paho-mqtt, ESPHome, Tasmota, and a QR code."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import segno

from insula_tenants.devices import PointView
from insula_tenants.names import device_topic, mqtt_username
from insula_tenants.settings import TenantsSettings

CA_FILE = "insula-ca.pem"
"""Where the snippets look for the certificates of `ca`."""
NO_PASSWORD = "YOUR-PASSWORD"  # noqa: S105 - stands for one
_MOST_EXAMPLES = 4

_TASMOTA_TRIGGERS = {
    "power": "Energy#Power",
    "voltage": "Energy#Voltage",
    "current": "Energy#Current",
    "energy_total": "Energy#Total",
    "energy_import": "Energy#Total",
    "output": "Power1#State",
    "temperature": "Tele-DS18B20#Temperature",
    "humidity": "Tele-SHT3X#Humidity",
    "illuminance": "Tele-BH1750#Illuminance",
    "co2": "Tele-SCD40#CarbonDioxide",
    "occupancy": "Switch1#State",
    "door": "Switch1#State",
    "contact": "Switch1#State",
}
"""Where Tasmota's drivers have what our points are called; the sensor's name is one of those it may be."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a device needs to know. Without its password it is no secret."""

    tenant: str
    device: str
    username: str
    password: str | None
    host: str
    port: int
    tls: bool
    ca: str | None
    """PEM of the authorities to trust; None for the system's."""
    points: tuple[PointView, ...] = ()

    @property
    def client_id(self) -> str:
        """The one client id that the broker takes from it."""
        return mqtt_username(self.tenant, self.device)

    @property
    def secret(self) -> str:
        """The password, or what stands for it."""
        return self.password if self.password is not None else NO_PASSWORD

    def topic(self, leaf: str) -> str:
        """One of its topics."""
        return device_topic(self.tenant, self.device, leaf)


def tell(
    settings: TenantsSettings,
    tenant: str,
    device: str,
    points: Sequence[PointView],
    *,
    username: str | None = None,
    password: str | None = None,
) -> Told:
    """What the device is told of this deployment's broker."""
    host, port, tls = settings.devices_broker
    ca = _read(settings.mqtt_ca_file) if tls and settings.mqtt_ca_file is not None else None
    name = username if username is not None else mqtt_username(tenant, device)
    return Told(tenant, device, name, password, host, port, tls, ca, tuple(points))


def mosquitto_pub(told: Told) -> str:
    """A shell command that sends one reading; needs mosquitto-clients."""
    words = ["mosquitto_pub", "-V", "mqttv5", "-h", told.host, "-p", str(told.port)]
    if told.tls:
        words += ["--cafile", CA_FILE] if told.ca else ["--tls-use-os-certs"]
    words += ["-q", "1", "-i", told.client_id, "-u", told.username, "-P", told.secret]
    words += ["-t", told.topic("telemetry"), "-m", json.dumps(_example(told))]
    return shlex.join(words)


def paho(told: Told) -> str:
    """A Python program that sends one reading; needs paho-mqtt 2."""
    tls = ""
    if told.tls:
        tls = f"    tls={{'ca_certs': {CA_FILE!r}}},\n" if told.ca else "    tls={},\n"
    return (
        "import json\n\n"
        "import paho.mqtt.client as mqtt\n"
        "import paho.mqtt.publish as publish\n\n"
        "publish.single(\n"
        f"    {told.topic('telemetry')!r},\n"
        f"    json.dumps({_example(told)!r}),\n"
        "    qos=1,\n"
        f"    hostname={told.host!r},\n"
        f"    port={told.port},\n"
        f"    client_id={told.client_id!r},\n"
        f"    auth={{'username': {told.username!r}, 'password': {told.secret!r}}},\n"
        f"{tls}"
        "    protocol=mqtt.MQTTv5,\n"
        ")\n"
    )


def esphome(told: Told) -> str:
    """The parts of an ESPHome configuration that publish, for sensors whose ids are the points' names.

    `topic_prefix: null` keeps ESPHome from using topics of its own, which the broker refuses.
    """
    ca = f"  certificate_authority: |-\n{indent(told.ca.strip(), '    ')}\n" if told.ca else ""
    names = [point.name for point in told.points] or ["temperature"]
    values = "\n".join(
        f"            root[{json.dumps(one)}] = id({_identifier(one)}).state;" for one in names
    )
    status = "".join(
        f"  {message}_message:\n"
        f"    topic: {json.dumps(told.topic('status'))}\n"
        f"    payload: {payload}\n"
        "    qos: 1\n"
        "    retain: true\n"
        for message, payload in (("birth", "online"), ("will", "offline"), ("shutdown", "offline"))
    )
    return (
        "mqtt:\n"
        f"  broker: {json.dumps(told.host)}\n"
        f"  port: {told.port}\n"
        f"  username: {json.dumps(told.username)}\n"
        f"  password: {json.dumps(told.secret)}\n"
        f"  client_id: {json.dumps(told.client_id)}\n"
        f"{ca}"
        "  discovery: false\n"
        "  topic_prefix: null\n"
        "  log_topic: null\n"
        f"{status}"
        "interval:\n"
        "  - interval: 60s\n"
        "    then:\n"
        "      - mqtt.publish_json:\n"
        f"          topic: {json.dumps(told.topic('telemetry'))}\n"
        "          qos: 1\n"
        "          payload: |-\n"
        f"{values}\n"
    )


def tasmota(told: Told) -> str:
    """A line for Tasmota's console: the broker, and a rule that publishes what its sensors say."""
    names = [point.name for point in told.points] or ["temperature"]
    triggers = " ".join(
        f"ON {_TASMOTA_TRIGGERS.get(one, f'Tele-SENSOR#{one}')} DO Publish {told.topic('telemetry')} "
        f'{{"{one}":%value%}} ENDON'
        for one in names[:_MOST_EXAMPLES]
    )
    # What Tasmota says besides cannot be turned off: it goes where a device may say anything.
    commands = [
        f"MqttHost {told.host}",
        f"MqttPort {told.port}",
        f"MqttUser {told.username}",
        f"MqttPassword {told.secret}",
        f"MqttClient {told.client_id}",
        f"Topic {told.device}",
        f"FullTopic tenants/{told.tenant}/devices/%topic%/own/%prefix%/",
        f"SetOption103 {int(told.tls)}",
        f"Rule1 {triggers}",
        "Rule1 1",
    ]
    return "Backlog " + "; ".join(commands)


def qr_code(told: Told) -> str | None:
    """What an installer's phone reads, as a data URI of an SVG; None without the password."""
    if told.password is None:
        return None
    says = {
        "broker": f"{'mqtts' if told.tls else 'mqtt'}://{told.host}:{told.port}",
        "client_id": told.client_id,
        "username": told.username,
        "password": told.password,
        "telemetry": told.topic("telemetry"),
    }
    code = segno.make_qr(json.dumps(says, separators=(",", ":")), error="m")
    return code.svg_data_uri(scale=4, dark="#000", light="#fff")


def _example(told: Told) -> dict[str, float | bool]:
    """A value for each of its first points that its range allows."""
    values = {point.name: _value(point) for point in told.points[:_MOST_EXAMPLES]}
    return values or {"temperature": 21.5}


def _value(point: PointView) -> float | bool:
    if point.states:
        return True
    wanted = 21.5 if point.kind == "gauge" else 1234.5
    return max(point.minimum if point.minimum is not None else wanted, min(wanted, _maximum(point, wanted)))


def _maximum(point: PointView, otherwise: float) -> float:
    return point.maximum if point.maximum is not None else otherwise


def _identifier(name: str) -> str:
    """The name as an ESPHome id may be."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")
