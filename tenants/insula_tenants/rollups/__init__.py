"""Keep every tenant's rollups right, its old readings compressed, and what its plan no longer keeps away."""

from insula_tenants.rollups.refresh import DISTANCE, refresh_tenant
from insula_tenants.rollups.upkeep import Figures, tend_tenant

__all__ = ["DISTANCE", "Figures", "refresh_tenant", "tend_tenant"]
