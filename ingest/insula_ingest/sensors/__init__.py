"""Sensors that need no hardware: one small program each, the first thing a device maker reads."""
