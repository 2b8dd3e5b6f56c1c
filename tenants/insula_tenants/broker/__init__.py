"""The broker's side of tenancy: logins, and the topics each is bound to."""

from insula_tenants.broker.access import (
    BrokerAccess,
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    DeviceGrant,
    Drift,
    Login,
    RegistryReader,
    broker_access,
)
from insula_tenants.broker.passwords import PasswordHash, hash_password, new_password, verify_password
from insula_tenants.broker.rules import (
    CONTROL,
    INGEST,
    PLATFORM,
    SHARE_GROUP,
    Rules,
    device_rules,
    rules_of,
    service_rules,
)

__all__ = [
    "CONTROL",
    "INGEST",
    "PLATFORM",
    "SHARE_GROUP",
    "BrokerAccess",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnreachable",
    "DeviceGrant",
    "Drift",
    "Login",
    "PasswordHash",
    "RegistryReader",
    "Rules",
    "broker_access",
    "device_rules",
    "hash_password",
    "new_password",
    "rules_of",
    "service_rules",
    "verify_password",
]
