"""Sites, buildings, storeys and spaces of a tenant."""

from insula_tenants.spaces.models import Building, Site, Space, Storey
from insula_tenants.spaces.places import Places, check_places, covered_spaces, covered_spaces_async
from insula_tenants.spaces.service import SpaceView, ensure_space, find_space, list_spaces

__all__ = [
    "Building",
    "Places",
    "Site",
    "Space",
    "SpaceView",
    "Storey",
    "check_places",
    "covered_spaces",
    "covered_spaces_async",
    "ensure_space",
    "find_space",
    "list_spaces",
]
