"""Devices and their points over HTTP."""
