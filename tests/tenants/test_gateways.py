"""Which gateway a device has: told when it is registered or later, kept in bundles, gone with the gateway."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from insula_tenants.devices import Device, assign_gateway, create_device, list_devices
from insula_tenants.errors import InvalidInput, NotFound
from tests.conftest import Deployment


def gateways(deployment: Deployment) -> dict[str, str | None]:
    with deployment.databases.tenant(deployment.acme) as session:
        return {device.id: device.gateway for device in list_devices(session)}


def test_a_device_has_the_gateway_it_was_given_until_it_gets_another(fresh_deployment: Deployment):
    with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
        for slug in ("gateway-1", "gateway-2"):
            create_device(session, slug, name=slug)
        create_device(session, "lamp", name="Lamp", gateway="gateway-1")
    assert gateways(fresh_deployment) == {"gateway-1": None, "gateway-2": None, "lamp": "gateway-1"}
    for gateway in ("gateway-2", None, "gateway-1"):
        with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
            assign_gateway(session, "lamp", gateway)
        assert gateways(fresh_deployment)["lamp"] == gateway
    with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
        session.execute(delete(Device).where(Device.slug == "gateway-1"))
    assert gateways(fresh_deployment) == {"gateway-2": None, "lamp": None}


def test_a_gateway_is_another_device_of_the_same_tenant(fresh_deployment: Deployment):
    with fresh_deployment.databases.tenant(fresh_deployment.globex) as session:
        create_device(session, "gateway-1", name="Of another tenant")
    with fresh_deployment.databases.tenant(fresh_deployment.acme) as session:
        create_device(session, "lamp", name="Lamp")
        with pytest.raises(InvalidInput, match="register the gateway first"):
            create_device(session, "lamp-2", name="Lamp", gateway="gateway-1")
        with pytest.raises(InvalidInput, match="register the gateway first"):
            assign_gateway(session, "lamp", "gateway-1")
        with pytest.raises(InvalidInput, match="not its own gateway"):
            assign_gateway(session, "lamp", "lamp")
        with pytest.raises(NotFound, match="lamp-3"):
            assign_gateway(session, "lamp-3", "lamp")
    assert gateways(fresh_deployment) == {"lamp": None}
