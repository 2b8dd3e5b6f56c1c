"""Meters, tariffs and emission factors: what energy is counted, and what it costs."""
