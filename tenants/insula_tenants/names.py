"""Names that are contracts: slugs, schemas, roles, MQTT topics and user names."""

from __future__ import annotations

import re
from functools import cache
from zoneinfo import available_timezones

from insula_tenants.errors import InvalidInput

_SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
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


def mqtt_username(tenant_slug: str, device_slug: str) -> str:
    """The MQTT user name of a device: `{tenant}/{device}`."""
    return f"{tenant_slug}/{device_slug}"


def device_topic(tenant_slug: str, device_slug: str, leaf: str) -> str:
    """The topic `tenants/{tenant}/devices/{device}/{leaf}`."""
    return f"tenants/{tenant_slug}/devices/{device_slug}/{leaf}"
