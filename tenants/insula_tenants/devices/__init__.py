"""Devices, their types, their credentials and their points."""

from insula_tenants.devices.credentials import CredentialView, list_credentials, set_password
from insula_tenants.devices.models import (
    Device,
    DeviceCredential,
    DeviceState,
    DeviceType,
    Point,
    SparkplugMetric,
)
from insula_tenants.devices.points import (
    NewPoint,
    PointView,
    add_point,
    change_point,
    find_point,
    list_points,
)
from insula_tenants.devices.service import (
    DeviceView,
    NewDevice,
    WhichDevices,
    assign_gateway,
    create_device,
    find_device,
    list_devices,
    register,
)
from insula_tenants.devices.types import TypeView, built_in_types, find_type, list_types

__all__ = [
    "CredentialView",
    "Device",
    "DeviceCredential",
    "DeviceState",
    "DeviceType",
    "DeviceView",
    "NewDevice",
    "NewPoint",
    "Point",
    "PointView",
    "SparkplugMetric",
    "TypeView",
    "WhichDevices",
    "add_point",
    "assign_gateway",
    "built_in_types",
    "change_point",
    "create_device",
    "find_device",
    "find_point",
    "find_type",
    "list_credentials",
    "list_devices",
    "list_points",
    "list_types",
    "register",
    "set_password",
]
