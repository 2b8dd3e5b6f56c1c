"""The next day of a point, hour by hour, and how far to trust it. Pure: arrays in, arrays out."""

from insula_tenants.analytics.forecast.hours import HISTORY, HORIZON, Hours, hours_of
from insula_tenants.analytics.forecast.outlook import Bounds, Outlook, look_ahead

__all__ = ["HISTORY", "HORIZON", "Bounds", "Hours", "Outlook", "hours_of", "look_ahead"]
