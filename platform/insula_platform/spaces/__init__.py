"""Spaces over HTTP; the rest of the building model is in `insula_platform.building_model`."""
