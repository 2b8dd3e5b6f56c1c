"""What each tenant used, day by day."""

from insula_tenants.usage.models import UsageDaily, UsageDevice

__all__ = ["UsageDaily", "UsageDevice"]
