"""Twins: what each device is to be, and what it says it is."""

from insula_tenants.twins.models import DesiredOutbox, Twin
from insula_tenants.twins.service import (
    TwinView,
    change_desired,
    publish_again,
    publish_desired,
    read_twin,
    unpublished,
)

__all__ = [
    "DesiredOutbox",
    "Twin",
    "TwinView",
    "change_desired",
    "publish_again",
    "publish_desired",
    "read_twin",
    "unpublished",
]
