"""Devices that come in by a claim code, or by announcing themselves, over HTTP."""
