"""From a batch to what is committed: connections, and what to do with what a database refuses."""

from insula_ingest.writer.home import Home
from insula_ingest.writer.store import Outcome, Store

__all__ = ["Home", "Outcome", "Store"]
