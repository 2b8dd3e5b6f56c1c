"""Readings, latest values and dead letters of a tenant."""
