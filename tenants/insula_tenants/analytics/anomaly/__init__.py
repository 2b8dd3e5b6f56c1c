"""What is wrong with a point: unusual readings, and sensors that are stuck, flat or drifting. Pure."""

from insula_tenants.analytics.anomaly.drift import drifting
from insula_tenants.analytics.anomaly.episodes import Change, Episode, Known, reconcile
from insula_tenants.analytics.anomaly.still import flat, stuck
from insula_tenants.analytics.anomaly.unusual import unusual

__all__ = ["Change", "Episode", "Known", "drifting", "flat", "reconcile", "stuck", "unusual"]
