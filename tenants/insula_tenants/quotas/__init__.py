"""What a tenant may use: the limits of its plan, and those that are its own."""

from insula_tenants.quotas.service import Quotas, effective_quotas, quotas_of

__all__ = ["Quotas", "effective_quotas", "quotas_of"]
