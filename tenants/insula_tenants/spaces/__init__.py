"""Sites, buildings, storeys and spaces of a tenant."""

from insula_tenants.spaces.models import Building, Site, Space, Storey
from insula_tenants.spaces.service import SpaceView, ensure_space, list_spaces

__all__ = ["Building", "Site", "Space", "SpaceView", "Storey", "ensure_space", "list_spaces"]
