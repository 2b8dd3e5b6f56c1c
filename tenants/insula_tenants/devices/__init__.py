"""Devices, their credentials and their points."""

from insula_tenants.devices.models import Device, DeviceCredential, Point, SparkplugMetric
from insula_tenants.devices.service import (
    DeviceView,
    NewPoint,
    PointView,
    assign_gateway,
    create_device,
    list_devices,
    list_points,
    set_password,
)

__all__ = [
    "Device",
    "DeviceCredential",
    "DeviceView",
    "NewPoint",
    "Point",
    "PointView",
    "SparkplugMetric",
    "assign_gateway",
    "create_device",
    "list_devices",
    "list_points",
    "set_password",
]
