"""Keep every tenant's rollups right, its old readings compressed, and what its plan no longer keeps away."""

from insula_tenants.rollups.models import StorageStatus
from insula_tenants.rollups.refresh import DISTANCE, mark, refresh_tenant
from insula_tenants.rollups.survey import Due, is_to_be_tended, note_refresh, survey
from insula_tenants.rollups.upkeep import Figures, tend_tenant

__all__ = [
    "DISTANCE",
    "Due",
    "Figures",
    "StorageStatus",
    "is_to_be_tended",
    "mark",
    "note_refresh",
    "refresh_tenant",
    "survey",
    "tend_tenant",
]
