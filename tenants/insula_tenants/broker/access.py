"""How logins reach the broker.

Errors::

    InsulaError
    └── BrokerError            503  broker-unavailable
        ├── BrokerUnreachable       no connection, or no answer in time
        └── BrokerRefused           the broker answered, and said no
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from insula_tenants.broker.rules import device_rules, service_rules
from insula_tenants.broker.tls import broker_tls
from insula_tenants.errors import ConfigurationError, InsulaError, InvalidInput
from insula_tenants.names import check_slug, mqtt_username, parse_username
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
    """A device, and a login it is to connect with."""

    tenant: str
    device: str
    password: str
    username: str | None = None
    """One of the device's user names; None is the first, `{tenant}/{device}`."""

    @property
    def login(self) -> str:
        """The user name; `InvalidInput` for one that is not this device's."""
        return check_login(self.tenant, self.device, self.username)


class Login(NamedTuple):
    """A device's login as the registry wants it at the broker."""

    tenant: str
    device: str
    username: str
    closed: bool
    """Whether it is to be kept shut: its tenant is suspended."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What differed between the broker's logins and the registry's: user names, by what was wrong."""

    strays: tuple[str, ...] = ()
    """At the broker and not in the registry: taken away."""
    missing: tuple[str, ...] = ()
    """In the registry and not at the broker. The password is known to the device alone, so nobody can put it
    back over the broker's commands; see `insula_tenants.broker.dynamic_security`."""
    switched: tuple[str, ...] = ()
    """Open where they were to be closed, or the other way round: put right."""
    altered: tuple[str, ...] = ()
    """With other rules or another client id than theirs: put right."""

    @property
    def repaired(self) -> int:
        """Logins that were put right or taken away."""
        return len(self.strays) + len(self.switched) + len(self.altered)


class BrokerAccess(Protocol):
    """Gives and takes logins at the broker. Every call may be repeated: the last one counts.

    A device may have several logins at a time, so that a new one can be tried before the old one goes. The
    first is called `{tenant}/{device}`, the others `{tenant}/{device}/{n}`; all have the same client id.

    All raise `InvalidInput` for names that are no slugs or a user name of another device,
    `BrokerUnreachable` and `BrokerRefused`.
    """

    takes: Literal["password", "certificate"]
    """What a device signs in with."""

    def grant(self, tenant_slug: str, device_slug: str, password: str, username: str | None = None) -> None:
        """Let the device connect by this login, with this password and with no other one from now on."""
        ...

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """`grant` for many logins over one connection."""
        ...

    def withdraw(self, tenant_slug: str, device_slug: str, username: str) -> None:
        """Take one of the device's logins and end its live session; the other logins stay."""
        ...

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """Take all logins of the device, end its live session, forget the desired state kept for it."""
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

    def reconcile(self, wanted: Callable[[], Collection[Login]]) -> Drift:
        """Make the broker's logins those of the registry, and tell what differed.

        `wanted` reads the registry. It is called before the broker is asked and again afterwards: whoever
        grants writes there first, so a login that was granted meanwhile is no stray, and one that is on its
        way is not missing before the next time.
        """
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


def check_login(tenant_slug: str, device_slug: str, username: str | None) -> str:
    """The user name, `{tenant}/{device}` for None; `InvalidInput` for one that is not this device's."""
    device_rules(tenant_slug, device_slug)
    first = mqtt_username(tenant_slug, device_slug)
    login = parse_username(first if username is None else username)
    if login is None or login.client_id != first:
        raise InvalidInput(
            "username", f"{username!r} is no login of the device {first}: use {first} or {first}/2"
        )
    return mqtt_username(*login)


class RegistryReader:
    """Access at a broker that reads the registry by itself: there is nothing to tell it.

    What stands in `device_credentials` counts, within the few seconds that the broker remembers it for. Names
    are checked all the same, so that every kind of access refuses the same ones.
    """

    takes: Literal["password", "certificate"] = "password"

    def grant(
        self,
        tenant_slug: str,
        device_slug: str,
        password: str,  # noqa: ARG002 - see the class
        username: str | None = None,
    ) -> None:
        """See `BrokerAccess.grant`."""
        check_login(tenant_slug, device_slug, username)

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """See `BrokerAccess.grant_many`."""
        for one in grants:
            self.grant(*one)

    def withdraw(self, tenant_slug: str, device_slug: str, username: str) -> None:
        """See `BrokerAccess.withdraw`."""
        check_login(tenant_slug, device_slug, username)

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

    def reconcile(self, wanted: Callable[[], Collection[Login]]) -> Drift:  # noqa: ARG002 - see the class
        """See `BrokerAccess.reconcile`: what the broker reads cannot differ from itself."""
        return Drift()

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
    from insula_tenants.broker.x509 import CertificateAccess

    if settings.broker_access in {"http", "none"}:
        return RegistryReader()
    if settings.broker_access == "x509":
        return CertificateAccess(settings)
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
        broker_tls(settings),
    )
