"""Devices that sign in with certificates: their names at Mosquitto, its static access list, and the access.

With `use_identity_as_username`, Mosquitto takes the common name of a certificate as the user name. It is
`{tenant}/devices/{device}`: what stands between `tenants/` and a leaf in the device's topics, so that one
pattern for each leaf, `pattern write tenants/%u/telemetry`, is the rule of every device there is. With
`use_username_as_clientid` the client id is that name too. On a listener that requires certificates this is
safe: whoever has none does not come as far as MQTT (seen with 2.0.11; see docs/decisions/0028).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from typing import Literal

from insula_tenants.broker.access import DeviceGrant, Drift, Login, check_login
from insula_tenants.broker.rules import (
    CONTROL,
    INGEST,
    ORDERS,
    OWN,
    PLATFORM,
    RESULTS,
    TELEMETRY,
    device_rules,
    service_rules,
)
from insula_tenants.names import DeviceLogin, check_slug, is_slug
from insula_tenants.settings import TenantsSettings


def certificate_name(tenant_slug: str, device_slug: str) -> str:
    """The common name of a device's certificate; `InvalidInput` for names that are no slugs."""
    device_rules(tenant_slug, device_slug)
    return f"{tenant_slug}/devices/{device_slug}"


def parse_certificate_name(name: str) -> DeviceLogin | None:
    """The device that `certificate_name` made this of; None when it can be no device's."""
    tenant, middle, device = (*name.split("/"), "", "")[:3]
    if middle != "devices" or name.count("/") != 2 or not (is_slug(tenant) and is_slug(device)):
        return None
    return DeviceLogin(tenant, device, 1)


def access_file() -> str:
    """Mosquitto's `acl_file`: the rules of the services and, by patterns, of every device.

    The file bounds what is published and what is delivered. Mosquitto 2.0 lets everybody subscribe to
    anything, which brings a device nothing; but it would take its share of a shared subscription and drop it,
    so ingest shares none here.
    """
    lines = []
    for service in (INGEST, CONTROL, PLATFORM):
        rules = service_rules(service)
        lines.append(f"user {service}")
        lines += [f"topic write {topic}" for topic in rules.publish if not topic.startswith("$CONTROL")]
        lines += [f"topic read {topic}" for topic in rules.receive if not topic.startswith("$CONTROL")]
    lines += [f"pattern write tenants/%u/{leaf}" for leaf in (*TELEMETRY, *RESULTS, *OWN)]
    lines += [f"pattern read tenants/%u/{leaf}" for leaf in ORDERS]
    return "\n".join(lines) + "\n"


class CertificateAccess:
    """`BrokerAccess` where devices sign in with certificates: the broker trusts who has one.

    Nothing is provisioned. What is taken back is noted in the registry; `insula serve broker-trust`, which
    stands beside the broker, tells it within seconds and ends live sessions.
    """

    takes: Literal["password", "certificate"] = "certificate"

    def __init__(self, settings: TenantsSettings) -> None:
        """The registry is opened when something is to be revoked."""
        self._settings = settings

    def grant(
        self,
        tenant_slug: str,
        device_slug: str,
        password: str,  # noqa: ARG002 - certificates take its place
        username: str | None = None,
    ) -> None:
        """See `BrokerAccess.grant`: a device gets in with a certificate, whatever its password."""
        check_login(tenant_slug, device_slug, username)

    def grant_many(self, grants: Iterable[DeviceGrant]) -> None:
        """See `BrokerAccess.grant_many`."""
        for one in grants:
            self.grant(*one)

    def withdraw(self, tenant_slug: str, device_slug: str, username: str) -> None:
        """See `BrokerAccess.withdraw`: a password was never good here."""
        check_login(tenant_slug, device_slug, username)

    def revoke(self, tenant_slug: str, device_slug: str) -> None:
        """See `BrokerAccess.revoke`: all certificates of the device are taken back."""
        from insula_tenants.certificates import revoke_device
        from insula_tenants.database import Databases
        from insula_tenants.registry import resolve_closed_or_open

        device_rules(tenant_slug, device_slug)
        with (
            closing(Databases(self._settings.service_urls(), pool_size=1)) as databases,
            databases.core() as core,
        ):
            revoke_device(core, resolve_closed_or_open(core, tenant_slug), device_slug)

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

    def reconcile(self, wanted: Callable[[], Collection[Login]]) -> Drift:  # noqa: ARG002 - there are no logins
        """See `BrokerAccess.reconcile`: `insula serve broker-trust` keeps the broker's two files right."""
        return Drift()

    def forget_tenant(self, tenant_slug: str) -> None:
        """See `BrokerAccess.forget_tenant`: the authority goes with the tenant's row."""
        check_slug(tenant_slug, field="tenant")

    def logins_of(self, tenant_slug: str) -> list[str]:
        """See `BrokerAccess.logins_of`: the broker keeps none."""
        check_slug(tenant_slug, field="tenant")
        return []

    def grant_service(self, service: str, password: str) -> None:  # noqa: ARG002 - given to the broker at start
        """See `BrokerAccess.grant_service`."""
        service_rules(service)
