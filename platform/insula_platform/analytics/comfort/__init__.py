"""Comfort over HTTP."""
