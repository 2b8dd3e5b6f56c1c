"""Project Haystack (https://project-haystack.org): grids of sites, spaces, equipment and points, as JSON."""

from insula_tenants.brick.haystack.read import read_haystack

__all__ = ["read_haystack"]
