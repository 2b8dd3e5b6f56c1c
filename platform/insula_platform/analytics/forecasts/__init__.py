"""Forecasts, findings and the analyses that make them, over HTTP."""
