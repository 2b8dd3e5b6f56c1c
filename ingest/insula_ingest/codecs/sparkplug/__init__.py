"""Sparkplug B telemetry: what one payload says by itself, and what the births of its device add.

`decode_sparkplug` needs nothing but the payload. Births name the aliases and the datatypes that later
messages leave out; `Births` holds them, and `read_pending` reads with them what was left open.
"""

from insula_ingest.codecs.sparkplug.births import MOST_METRICS, Births, Learned, Metric, read_pending
from insula_ingest.codecs.sparkplug.metrics import decode_sparkplug

__all__ = ["MOST_METRICS", "Births", "Learned", "Metric", "decode_sparkplug", "read_pending"]
