"""Places as the API shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.spaces.places import MOST
from insula_tenants.spaces.places import Places as Covered

Ids = Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(max_length=MOST)]


class Places(BaseModel):
    """Some places of the tenant, and everything that stands in them."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"buildings": [3], "spaces": [17]}}
    )

    sites: Ids = []
    buildings: Ids = []
    storeys: Ids = []
    spaces: Ids = []

    @classmethod
    def shown(cls, places: Covered | None) -> Places | None:
        """The same for an answer; None for the whole tenant."""
        return cls(**places.told) if places is not None else None

    def meant(self) -> Covered:
        """The same for the registry."""
        return Covered.of(self.model_dump()) or Covered()
