"""The registry of tenants: where each lives, and the one place that mints a `TenantContext`."""

from insula_tenants.registry.creation import CreatedTenant, create_tenant, resume_creations
from insula_tenants.registry.models import Plan, Tenant
from insula_tenants.registry.service import (
    ACTIVE,
    CREATING,
    DELETING,
    SUSPENDED,
    ClosedTenant,
    closed_tenants,
    find_tenant,
    list_tenants,
    resolve_closed_or_open,
    resolve_many,
    resolve_tenant,
    resolve_tenant_async,
    resolve_tenant_by_id,
    why_closed,
)

__all__ = [
    "ACTIVE",
    "CREATING",
    "DELETING",
    "SUSPENDED",
    "ClosedTenant",
    "CreatedTenant",
    "Plan",
    "Tenant",
    "closed_tenants",
    "create_tenant",
    "find_tenant",
    "list_tenants",
    "resolve_closed_or_open",
    "resolve_many",
    "resolve_tenant",
    "resolve_tenant_async",
    "resolve_tenant_by_id",
    "resume_creations",
    "why_closed",
]
