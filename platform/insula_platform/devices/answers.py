"""From what the tenancy core knows of a device to what the API answers."""

from __future__ import annotations

from insula_platform.devices import schemas, snippets
from insula_platform.devices.snippets import Told
from insula_tenants.devices import DeviceView, PointView
from insula_tenants.presence import PresenceView

UNSEEN = {"last_seen", "presence"}
"""What changes without anybody changing the device: no part of its `ETag`."""


def device_of(view: DeviceView, presence: PresenceView | None = None) -> schemas.Device:
    """A device as the API shows it; `unknown` is the presence of one that is new."""
    shown = schemas.Device.model_validate(view)
    return shown if presence is None else shown.model_copy(update={"presence": presence.state})


def device_tag(view: DeviceView) -> dict[str, object]:
    """What the device's `ETag` is made of."""
    return device_of(view).model_dump(mode="json", exclude=UNSEEN)


def point_of(view: PointView) -> schemas.Point:
    """A point as the API shows it."""
    return schemas.Point.model_validate(view)


def secrets_of(told: Told) -> schemas.Secrets | None:
    """The login, where its password is at hand."""
    if told.password is None:
        return None
    return schemas.Secrets(username=told.username, password=told.password, client_id=told.client_id)


def broker_of(told: Told) -> schemas.Broker:
    """Where the broker is."""
    return schemas.Broker(host=told.host, port=told.port, tls=told.tls, ca=told.ca)


def topics_of(told: Told) -> schemas.Topics:
    """The device's topics."""
    return schemas.Topics(
        telemetry=told.topic("telemetry"),
        attributes=told.topic("attributes"),
        status=told.topic("status"),
        desired=told.topic("desired"),
        commands=told.topic("commands/+"),
        command_results=told.topic("commands/+/result"),
        children=told.topic("children/+/telemetry"),
    )


def snippets_of(told: Told) -> schemas.Snippets:
    """The device, ready to paste."""
    return schemas.Snippets(
        mosquitto_pub=snippets.mosquitto_pub(told),
        paho=snippets.paho(told),
        esphome=snippets.esphome(told),
        tasmota=snippets.tasmota(told),
    )
