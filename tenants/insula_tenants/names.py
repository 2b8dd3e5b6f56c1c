"""Names that are contracts: slugs, schemas, roles, MQTT topics and user names."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple
from zoneinfo import available_timezones

from insula_tenants.errors import InvalidInput

_SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_POINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")

CORE_SCHEMA = "insula"
"""Schema and role of the core; every session on the registry runs as this role."""

OWNER_ROLE = "insula_owner"
"""Owns every table of the core and of all tenants; used by migrations alone, never by a service."""


def check_slug(value: str, *, field: str = "slug") -> str:
    """`value` when it is a slug, else `InvalidInput`.

    A slug has 3 to 40 characters: lower-case letters, digits and hyphens, starting with a letter, not
    ending with a hyphen. It is part of topics, URLs and the tenant's schema name, so it never changes.
    """
    if not _SLUG.fullmatch(value):
        raise InvalidInput(
            field,
            f"{value!r} is not a valid {field}: use 3 to 40 lower-case letters, digits and hyphens, "
            "starting with a letter",
        )
    return value


def is_slug(value: str) -> bool:
    """Whether `value` is a slug (see `check_slug`)."""
    return _SLUG.fullmatch(value) is not None


def is_point_name(value: str) -> bool:
    """Whether a device may call a point this: 1 to 128 of letters, digits and `_ . : / -`.

    That is SenML's alphabet for names (RFC 8428, section 4.5.1).
    """
    return _POINT.fullmatch(value) is not None


@cache
def time_zones() -> frozenset[str]:
    """The IANA time zones, without `localtime`, which is a link of this machine."""
    return frozenset(available_timezones() - {"localtime"})


def schema_of(tenant_slug: str) -> str:
    """Name of the tenant's schema and, the same, of its database role."""
    return "tenant_" + check_slug(tenant_slug, field="tenant").replace("-", "_")


def slug_of(schema: str) -> str:
    """The slug of the tenant whose schema this is: a slug has no underscore."""
    return schema.removeprefix("tenant_").replace("_", "-")


class DeviceLogin(NamedTuple):
    """What an MQTT user name of a device says."""

    tenant: str
    device: str
    number: int

    @property
    def client_id(self) -> str:
        """The client id that all logins of the device must give: `{tenant}/{device}`."""
        return mqtt_username(self.tenant, self.device)


def mqtt_username(tenant_slug: str, device_slug: str, number: int = 1) -> str:
    """The MQTT user name of a login: `{tenant}/{device}`, of the second one `{tenant}/{device}/2`."""
    return f"{tenant_slug}/{device_slug}" + (f"/{number}" if number > 1 else "")


def parse_username(username: str) -> DeviceLogin | None:
    """What `mqtt_username` made this user name of; None when it can be no device's.

    A login has one spelling: its number has no leading zero, and the first has none at all.
    """
    tenant, _, rest = username.partition("/")
    device, slash, digits = rest.partition("/")
    if not (is_slug(tenant) and is_slug(device)):
        return None
    if not slash:
        return DeviceLogin(tenant, device, 1)
    if not _NUMBER.fullmatch(digits) or digits == "1":
        return None
    return DeviceLogin(tenant, device, int(digits))


def device_topic(tenant_slug: str, device_slug: str, leaf: str) -> str:
    """The topic `tenants/{tenant}/devices/{device}/{leaf}`."""
    return f"tenants/{tenant_slug}/devices/{device_slug}/{leaf}"
