"""Forecasts and findings: what charts and tables of them show, and how they are drawn."""
