"""Where readings live: TimescaleDB where the extension is, PostgreSQL partitions where it is not.

All that differs between the two stands in `timescale.py` and `partitions.py`; queries, API and UI do not
know which one they run on.
"""

from insula_tenants.storage.engine import StorageEngine, detect_engine

__all__ = ["StorageEngine", "detect_engine"]
