"""What each tenant used and had, day by day. `insula_tenants.usage.gauges` measures what they have."""

from insula_tenants.usage.models import UsageDaily, UsageDevice, UsageGauge
from insula_tenants.usage.reading import DayOfUse, UsagePosition, read_usage
from insula_tenants.usage.service import METRICS, add_usage

__all__ = [
    "METRICS",
    "DayOfUse",
    "UsageDaily",
    "UsageDevice",
    "UsageGauge",
    "UsagePosition",
    "add_usage",
    "read_usage",
]
