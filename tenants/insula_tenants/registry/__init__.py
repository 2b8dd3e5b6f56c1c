"""The registry of tenants: where each lives, and the one place that mints a `TenantContext`."""

from insula_tenants.registry.models import Tenant
from insula_tenants.registry.service import (
    create_tenant,
    list_tenants,
    resolve_tenant,
    resolve_tenant_by_id,
)

__all__ = ["Tenant", "create_tenant", "list_tenants", "resolve_tenant", "resolve_tenant_by_id"]
