"""What a tenant may use: the limits of its plan, and those that are its own."""

from insula_tenants.quotas.limits import MOST, QUOTA_NAMES, Quotas, check_quotas
from insula_tenants.quotas.plans import (
    TenantQuotas,
    find_plan,
    list_plans,
    put_plan,
    put_quotas,
    tenant_quotas,
)
from insula_tenants.quotas.room import QuotaExceeded, claim_room, room_for_points
from insula_tenants.quotas.service import Allowance, allowance_of, allowances_of, effective_quotas

__all__ = [
    "MOST",
    "QUOTA_NAMES",
    "Allowance",
    "QuotaExceeded",
    "Quotas",
    "TenantQuotas",
    "allowance_of",
    "allowances_of",
    "check_quotas",
    "claim_room",
    "effective_quotas",
    "find_plan",
    "list_plans",
    "put_plan",
    "put_quotas",
    "room_for_points",
    "tenant_quotas",
]
