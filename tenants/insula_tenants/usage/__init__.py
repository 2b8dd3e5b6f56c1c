"""What each tenant used, day by day."""

from insula_tenants.usage.models import UsageDaily, UsageDevice
from insula_tenants.usage.service import METRICS, add_usage

__all__ = ["METRICS", "UsageDaily", "UsageDevice", "add_usage"]
