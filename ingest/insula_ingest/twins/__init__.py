"""What devices say of themselves besides telemetry: reported state, status, results of commands."""

from insula_ingest.twins.path import FILTERS, TwinPath

__all__ = ["FILTERS", "TwinPath"]
