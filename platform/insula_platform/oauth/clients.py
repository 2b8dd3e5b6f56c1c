"""The clients: the platform's own UI, and the service clients of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.oauth import scopes
from insula_platform.oauth.models import Client, fingerprint, new_secret
from insula_platform.settings import PlatformSettings
from insula_tenants.context import TenantContext
from insula_tenants.errors import ConfigurationError, InvalidInput, NotFound

UI_CLIENT_ID = "insula-ui"


def create_service_client(core: Session, tenant: TenantContext, name: str, scope: str) -> tuple[str, str]:
    """A client that acts for itself in one tenant: its id, and its secret, which is shown this once.

    `scope` lists the most it may ask for, space-separated.
    Raises `InvalidInput` for an unusable name or scope.
    """
    return _create_client(core, tenant.id, tenant.slug, name, scope, scopes.API_SCOPES)


def create_operator_client(core: Session, name: str, scope: str) -> tuple[str, str]:
    """A client of the operator, which belongs to no tenant: its id, and its secret, shown this once.

    Raises `InvalidInput` for an unusable name or scope.
    """
    return _create_client(core, None, "operator", name, scope, scopes.OPERATOR_SCOPES)


def service_clients(core: Session, tenant: TenantContext) -> list[Client]:
    """The tenant's service clients, by name."""
    query = select(Client).where(Client.tenant_id == tenant.id).order_by(Client.name, Client.client_id)
    return list(core.scalars(query))


def delete_service_client(core: Session, tenant: TenantContext, client_id: str) -> None:
    """Remove a service client; `NotFound` when the tenant has none of this id. Its tokens run out."""
    client = core.scalar(select(Client).where(Client.client_id == client_id, Client.tenant_id == tenant.id))
    if client is None:
        raise NotFound(f"there is no service client {client_id!r}")
    core.delete(client)


def ensure_ui_client(core: Session, settings: PlatformSettings) -> None:
    """Register the analytics UI as the settings describe it: first-party, confidential, no consent page."""
    if settings.ui_client_secret is None:
        raise ConfigurationError(
            "INSULA_UI_CLIENT_SECRET is not set: give platform and UI the same 32 or more random characters"
        )
    values = {
        "name": "Insula",
        "first_party": True,
        "secret_hash": fingerprint(settings.ui_client_secret.get_secret_value()),
        "redirect_uris": [settings.ui_redirect_uri],
        "post_logout_redirect_uris": [settings.ui_url, f"{settings.ui_url}/"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": scopes.join(scopes.SCOPES),
    }
    row = insert(Client).values(client_id=UI_CLIENT_ID, **values)
    core.execute(row.on_conflict_do_update(index_elements=["client_id"], set_=values))


def _create_client(
    core: Session, tenant_id: UUID | None, prefix: str, name: str, scope: str, known: Mapping[str, str]
) -> tuple[str, str]:
    if not name.strip() or len(name) > 200:
        raise InvalidInput("name", "give a name of 1 to 200 characters that tells what the program does")
    wanted = scopes.split(scope)
    unknown = [item for item in wanted if item not in known]
    if unknown or not wanted:
        what = f"{', '.join(unknown)}: no such scope" if unknown else "no scope is given"
        raise InvalidInput("scope", f"{what}; use some of {', '.join(known)}")
    client_id, secret = f"{prefix}-{uuid4().hex[:12]}", new_secret()
    core.add(
        Client(
            client_id=client_id,
            tenant_id=tenant_id,
            first_party=tenant_id is None,
            name=name.strip(),
            secret_hash=fingerprint(secret),
            grant_types=["client_credentials"],
            scope=scopes.join(wanted),
        )
    )
    core.flush()
    return client_id, secret
