"""The proof that a tenant was resolved: everything that touches a tenant's data must be handed one."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from insula_tenants.errors import ConfigurationError

_MINT = object()


@dataclass(frozen=True, slots=True)
class TenantContext:
    """One resolved tenant. Only `insula_tenants.registry` mints it; there is no default tenant."""

    id: UUID
    slug: str
    schema: str
    """The tenant's schema and database role (they are named alike)."""
    database: str
    """Name of the database the tenant lives in."""
    _mint: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._mint is not _MINT:
            msg = "TenantContext is minted by insula_tenants.registry alone"
            raise ConfigurationError(msg)


def _mint(*, id: UUID, slug: str, schema: str, database: str) -> TenantContext:  # noqa: A002 - the field's name
    return TenantContext(id=id, slug=slug, schema=schema, database=database, _mint=_MINT)
