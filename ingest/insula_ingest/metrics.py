"""Prometheus metrics of the process, served on INSULA_METRICS_PORT."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram, start_http_server

MESSAGES = Counter("insula_ingest_messages", "Messages that are stored and acknowledged.")
VALUES = Counter("insula_ingest_values", "Values that are stored.")
DEAD_LETTERS = Counter("insula_ingest_dead_letters", "Dead letters that are stored.")
THROTTLED = Counter("insula_ingest_throttled", "Messages over a limit, and dead letters over theirs.")
HOMELESS = Counter("insula_ingest_homeless", "Messages on topics of no tenant.")
BATCH_MESSAGES = Histogram(
    "insula_ingest_batch_messages", "Messages in a batch.", buckets=[2**power for power in range(0, 17, 2)]
)
BATCH_SECONDS = Histogram("insula_ingest_batch_seconds", "Seconds that a batch took to write.")
_IN_FLIGHT = Gauge("insula_ingest_in_flight", "Messages received and not acknowledged.")
_BYTES_IN_FLIGHT = Gauge("insula_ingest_in_flight_bytes", "Their payloads' bytes.")
_QUEUED = Gauge("insula_ingest_queued", "Messages that wait for a place in a batch.")
_HELD_TENANTS = Gauge("insula_ingest_held_tenants", "Tenants whose messages are held back.")


def serve(
    port: int,
    *,
    in_flight: Callable[[], float],
    bytes_in_flight: Callable[[], float],
    queued: Callable[[], float],
    held_tenants: Callable[[], float],
) -> None:
    """Serve them on all addresses; the gauges are read when somebody asks."""
    _IN_FLIGHT.set_function(in_flight)
    _BYTES_IN_FLIGHT.set_function(bytes_in_flight)
    _QUEUED.set_function(queued)
    _HELD_TENANTS.set_function(held_tenants)
    start_http_server(port)
