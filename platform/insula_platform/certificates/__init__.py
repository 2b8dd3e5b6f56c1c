"""Certificates of devices, over the API, and the lists of revoked ones."""
