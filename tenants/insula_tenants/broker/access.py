"""How logins reach the broker.

Errors::

    InsulaError
    └── BrokerError            503  broker-unavailable
        ├── BrokerUnreachable       no connection, or no answer in time
        └── BrokerRefused           the broker answered, and said no
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from insula_tenants.broker.rules import device_rules, service_rules
from insula_tenants.errors import ConfigurationError, InsulaError
from insula_tenants.names import check_slug
from insula_tenants.settings import TenantsSettings


class BrokerError(InsulaError):
    """The MQTT broker did not do what was asked."""

    status = 503
    type = "broker-unavailable"


class BrokerUnreachable(BrokerError):
    """The MQTT broker cannot be reached, or does not answer."""


class BrokerRefused(BrokerError):
    """The MQTT broker refused."""


class DeviceGrant(NamedTuple):
    """A device and the password it is to connect with."""

    tenant: str
    device: str
    password: str


class BrokerAccess(Protocol):
    """Gives and takes logins at the broker. Every call may be repeated: the last one counts.

    All raise `InvalidInput` for names that are no slugs, `BrokerUnreachable` and `BrokerRefused`.
    """

    def grant(self, tenant_slug: str, device_slug: str, password: str) -> None:
        """Let the device connect with this password, and with no other one from now on."""
        ...

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """`grant` for many devices over one connection."""
        ...

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """Take the device's login, end its live session, forget the desired state kept for it."""
        ...

    def suspend_tenant(self, tenant_slug: str) -> None:
        """Close the logins of all devices of the tenant, and end their live sessions."""
        ...

    def resume_tenant(self, tenant_slug: str) -> None:
        """Open the logins of all devices of the tenant, with the passwords they had."""
        ...

    def align(self, closed: Collection[str]) -> None:
        """Close the logins of these tenants' devices, and open all other devices'."""
        ...

    def forget_tenant(self, tenant_slug: str) -> None:
        """`revoke` for all devices of the tenant."""
        ...

    def logins_of(self, tenant_slug: str) -> list[str]:
        """User names of the tenant's devices that the broker itself keeps."""
        ...

    def grant_service(self, service: str, password: str) -> None:
        """Let one of the platform's own services connect (`rules.INGEST`, `rules.CONTROL`)."""
        ...


class RegistryReader:
    """Access at a broker that reads the registry by itself: there is nothing to tell it.

    What stands in `device_credentials` counts, within the few seconds that the broker remembers it for. Names
    are checked all the same, so that both kinds of access refuse the same ones.
    """

    def grant(self, tenant_slug: str, device_slug: str, password: str) -> None:  # noqa: ARG002 - see the class
        """See `BrokerAccess.grant`."""
        device_rules(tenant_slug, device_slug)

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """See `BrokerAccess.grant_many`."""
        for one in grants:
            self.grant(*one)

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """See `BrokerAccess.revoke`."""
        device_rules(tenant_slug, device_slug)

    def suspend_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.suspend_tenant`: the tenant's status stands in the registry."""
        check_slug(tenant_slug, field="tenant")

    def resume_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.resume_tenant`: the tenant's status stands in the registry."""
        check_slug(tenant_slug, field="tenant")

    def align(self, closed: Collection[str]) -> None:
        """See `BrokerAccess.align`."""
        for tenant_slug in closed:
            check_slug(tenant_slug, field="tenant")

    def forget_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.forget_tenant`: the credentials go with the tenant's schema."""
        check_slug(tenant_slug, field="tenant")

    def logins_of(self, tenant_slug: str) -> list[str]:
        """See `BrokerAccess.logins_of`: the broker keeps none."""
        check_slug(tenant_slug, field="tenant")
        return []

    def grant_service(self, service: str, password: str) -> None:  # noqa: ARG002 - given to the broker at start
        """See `BrokerAccess.grant_service`."""
        service_rules(service)


def broker_access(settings: TenantsSettings) -> BrokerAccess:
    """The access that `INSULA_BROKER_ACCESS` names; `ConfigurationError` when its password is missing."""
    from insula_tenants.broker.dynamic_security import DynamicSecurity

    if settings.broker_access == "none":
        return RegistryReader()
    if settings.broker_admin_password is None:
        msg = (
            "INSULA_BROKER_ADMIN_PASSWORD is not set: the dynamic-security plugin takes commands only from "
            f"the login {settings.broker_admin_username!r}"
        )
        raise ConfigurationError(msg)
    return DynamicSecurity(
        settings.mqtt_host,
        settings.mqtt_port,
        settings.broker_admin_username,
        settings.broker_admin_password.get_secret_value(),
    )
