"""Devices and points as the API shows them and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.presence import PresenceState

DeviceState = Literal["active", "held", "decommissioned"]

Interval = Annotated[
    int | None,
    Field(
        ge=1,
        le=366 * 86_400,
        description="Seconds between two messages, by which silence is told; null when nobody said.",
    ),
]
SpaceId = Annotated[int | None, Field(ge=1, lt=2**31, description="The space it is in; null for none.")]
Slug = Annotated[
    str,
    Field(
        max_length=40,
        description="3 to 40 lower-case letters, digits and hyphens, beginning with a letter. It is part of "
        "topics and URLs and never changes.",
    ),
]
TypeId = Annotated[
    str | None, Field(max_length=40, description="Its device type (see `…/device-types`); null for none.")
]
Gateway = Annotated[
    str | None, Field(max_length=40, description="The device that may publish for it; null when none may.")
]
Serial = Annotated[str | None, Field(max_length=100, description="The maker's number.")]
Labels = Annotated[
    dict[str, str],
    Field(max_length=32, description="Words of your own: names of lower-case letters, digits and `. _ / -`."),
]


class PointFacts(BaseModel):
    """What is said of a point."""

    brick_class: str | None = Field(
        default=None, max_length=100, description="Class of the Brick ontology; null when nobody said."
    )
    unit: str | None = Field(
        default=None,
        max_length=60,
        description="Unit, as pint names it (`degC`, `kWh`, `m**3/h`); UCUM's names for what buildings "
        "measure are understood. Null when nobody said or there is none.",
    )
    kind: Literal["gauge", "counter"] = Field(
        default="gauge", description="A counter is a meter's running total."
    )
    states: list[str] | None = Field(
        default=None, max_length=100, description="Names of the values 0, 1, …; null for a quantity."
    )
    rollover_at: float | None = Field(
        default=None,
        description="Where a counter's register begins anew at 0; null when it never does or nobody said.",
    )
    minimum: float | None = Field(
        default=None,
        description="Lowest value that can be right. A reading below is kept all the same: the range is for "
        "those who read it.",
    )
    maximum: float | None = Field(default=None, description="Highest value that can be right.")
    expected_interval: Interval = Field(
        default=None, description="Seconds between two readings; null when it is the device's."
    )


class NewPoint(PointFacts):
    """A point before its first reading."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        max_length=128,
        description="As the device names it: letters, digits and `_ . : / -`. It never changes.",
        examples=["temperature"],
    )


class PointChanges(PointFacts):
    """What is to be changed of a point; what is left out stays, null takes away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"unit": "degC", "minimum": -40, "maximum": 85}}
    )


class Point(PointFacts):
    """One measured or commanded quantity of a device."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": 7,
                "device": "meeting-room-1-temperature",
                "name": "temperature",
                "brick_class": "Zone_Air_Temperature_Sensor",
                "unit": "degC",
                "kind": "gauge",
                "states": None,
                "rollover_at": None,
                "minimum": -40,
                "maximum": 85,
                "expected_interval": None,
            }
        },
    )

    id: int
    device: str
    name: str


class Device(BaseModel):
    """A device."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "id": "meeting-room-1-temperature",
                "name": "Temperature, meeting room 1",
                "space_id": 1,
                "gateway": "floor-1-gateway",
                "created_at": "2026-11-01T09:00:00Z",
                "last_seen": "2026-11-23T07:15:00Z",
                "type": "temperature-sensor",
                "state": "active",
                "expected_interval": 60,
                "serial": "A4C13800",
                "labels": {"circuit": "f1-3"},
                "decommissioned_at": None,
                "presence": "online",
            }
        },
    )

    id: str = Field(description="The device's name in topics and URLs.")
    name: str
    space_id: int | None = Field(description="The space it is in; null when nobody said.")
    gateway: str | None = Field(description="The device that may publish for it; null when none may.")
    created_at: datetime
    last_seen: datetime | None = Field(description="Time of its newest reading; null before the first.")
    type: str | None = Field(description="Its device type; null when nobody said.")
    state: DeviceState = Field(
        description="`active`; `held` until somebody approves it; `decommissioned`: out of use, with its "
        "readings kept and no login."
    )
    expected_interval: Interval
    serial: str | None = Field(description="The maker's number.")
    labels: dict[str, str]
    decommissioned_at: datetime | None = Field(description="When it was taken out of use.")
    presence: PresenceState = Field(
        default="unknown", description="Whether it is there, at this moment: see `…/presence`."
    )


class NewDevice(BaseModel):
    """A device to bring in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "id": "meeting-room-1-temperature",
                "name": "Temperature, meeting room 1",
                "type": "temperature-sensor",
                "space_id": 1,
                "labels": {"circuit": "f1-3"},
            }
        },
    )

    id: Slug
    name: str = Field(min_length=1, max_length=200, description="The name that people know it by.")
    type: TypeId = None
    space_id: SpaceId = None
    gateway: Gateway = None
    points: list[NewPoint] = Field(
        default=[],
        max_length=200,
        description="Points besides those of its type, or in place of one of the same name. What the device "
        "sends under other names becomes a point by itself.",
    )
    expected_interval: Interval = None
    serial: Serial = None
    labels: Labels = {}


class DeviceChanges(BaseModel):
    """What is to be changed of a device; what is left out stays, null takes away."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"space_id": 2, "labels": {"circuit": "f1-4"}}},
    )

    name: str = Field(
        default="", min_length=1, max_length=200, description="The name that people know it by."
    )
    type: TypeId = None
    space_id: SpaceId = None
    gateway: Gateway = None
    expected_interval: Interval = None
    serial: Serial = None
    labels: Labels = {}


class DeviceType(BaseModel):
    """What a device of one kind measures."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its name in requests.", examples=["shelly-plug"])
    name: str
    vendor: str | None
    model: str | None
    expected_interval: Interval
    points: list[NewPoint]
    version: int = Field(
        description="Of a built-in type, which a release may improve; 1 for your own. Devices that are there "
        "stay as they are."
    )
    built_in: bool = Field(description="Whether it comes with the platform, and cannot be changed.")
    hint: str | None = Field(description="How such a device comes to publish its points by these names.")


class TypeFacts(BaseModel):
    """A device type of the tenant's own, as it is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, examples=["Desk lamp"])
    vendor: str | None = Field(default=None, max_length=200)
    model: str | None = Field(default=None, max_length=200)
    expected_interval: Interval = None
    points: list[NewPoint] = Field(default=[], max_length=200)


class NewDeviceType(TypeFacts):
    """A device type to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "desk-lamp",
                "name": "Desk lamp",
                "vendor": "Lumen",
                "expected_interval": 300,
                "points": [
                    {"name": "power", "brick_class": "Electric_Power_Sensor", "unit": "W", "minimum": 0},
                    {"name": "on", "brick_class": "On_Off_Status", "states": ["off", "on"]},
                ],
            }
        }
    )

    id: Slug


class Topics(BaseModel):
    """Where a device publishes and listens; QoS 1 all of them."""

    telemetry: str = Field(description="The device publishes readings.")
    attributes: str = Field(description="The device publishes its reported state.")
    status: str = Field(description="The device, and its last will: `online` or `offline`, retained.")
    desired: str = Field(description="The device hears its desired state, retained.")
    commands: str = Field(description="The device hears commands; the last level names the command.")
    command_results: str = Field(description="The device answers, with the command in place of the `+`.")
    children: str = Field(
        description="As a gateway it publishes for another device, whose id takes the place of the `+`."
    )


class Broker(BaseModel):
    """Where the broker is."""

    host: str = Field(examples=["mqtt.insula.example"])
    port: int = Field(examples=[8883])
    tls: bool = Field(description="Whether to encrypt.")
    ca: str | None = Field(
        description="Certificates of the authorities to trust, as PEM; null for those of the system."
    )


class Secrets(BaseModel):
    """What a device signs in to the broker with. The password is told this once and kept by nobody."""

    username: str = Field(examples=["acme/meeting-room-1-temperature"])
    password: str = Field(examples=["Zk1m3p9…"])
    client_id: str = Field(
        description="The only client id that the broker takes from it.",
        examples=["acme/meeting-room-1-temperature"],
    )


class Snippets(BaseModel):
    """The same device, ready to paste."""

    mosquitto_pub: str = Field(description="A shell command that sends one reading.")
    paho: str = Field(description="A Python program, with paho-mqtt 2, that does the same.")
    esphome: str = Field(description="The parts of an ESPHome configuration, as YAML.")
    tasmota: str = Field(description="A line for Tasmota's console.")


class Connection(BaseModel):
    """All that a device is told to connect, but for its secret."""

    broker: Broker
    topics: Topics
    client_id: str
    snippets: Snippets


class Onboarded(BaseModel):
    """A device with a login, and how to use it."""

    device: Device
    points: list[Point]
    credentials: Secrets | None = Field(
        description="Null when an earlier request with the same Idempotency-Key got them: they are told "
        "once. Rotate the login when that answer was lost. Null, too, where devices sign in with "
        "certificates: ask for one at `…/devices/{device}/certificates`."
    )
    broker: Broker
    topics: Topics
    snippets: Snippets = Field(description="With the password in them where `credentials` are.")
    qr: str | None = Field(
        description="A QR code (SVG, as a data URI) that holds broker, login and topic as JSON; null where "
        "`credentials` are."
    )


class Rotation(BaseModel):
    """How a login is to be followed by another."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"overlap": 86400}})

    overlap: int = Field(
        default=86_400,
        ge=0,
        le=90 * 86_400,
        description="Seconds for which the present logins go on; 0 ends them at once.",
    )


class Rotated(BaseModel):
    """The new login, and when the others end."""

    credentials: Secrets | None = Field(
        description="Null when an earlier request with the same Idempotency-Key got them."
    )
    number: int = Field(description="The login's number, to revoke it by.")
    others_end_at: datetime | None = Field(
        description="When the device's other logins end; null when it has none."
    )
    broker: Broker
    topics: Topics
    snippets: Snippets
    qr: str | None


class Credential(BaseModel):
    """A login of a device, or a certificate, without its secret."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "example": {
                "kind": "password",
                "number": 2,
                "username": "acme/meeting-room-1-temperature/2",
                "serial": None,
                "state": "good",
                "created_at": "2026-11-24T09:00:00Z",
                "expires_at": None,
                "revoked_at": None,
            }
        },
    )

    kind: Literal["password", "certificate"]
    number: int | None = Field(description="Of a password, to revoke it by; null for a certificate.")
    username: str | None = Field(description="The MQTT user name that goes with a password.")
    serial: str | None = Field(
        description="Of a certificate: see `…/devices/{device}/certificates`; null for a password."
    )
    state: Literal["good", "expiring", "expired", "revoked"] = Field(
        description="`expiring` is good until `expires_at`; an `expired` one is refused and about to be "
        "`revoked`, which ends its session."
    )
    created_at: datetime
    expires_at: datetime | None = Field(description="When it stops being good; null when it does not.")
    revoked_at: datetime | None = Field(description="When the broker let go of it.")
