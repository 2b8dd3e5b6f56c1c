"""Clients that the platform itself makes: its UI's, the operator's, and programs of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid4

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from insula_platform.oauth import scopes
from insula_platform.oauth.models import Client, ClientSecret, fingerprint, new_secret
from insula_platform.settings import PlatformSettings
from insula_tenants.context import TenantContext
from insula_tenants.errors import ConfigurationError, InvalidInput

UI_CLIENT_ID = "insula-ui"
CLI_CLIENT_ID = "insula-cli"


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


def ensure_ui_client(core: Session, settings: PlatformSettings) -> None:
    """Register the analytics UI as the settings describe it: first-party, confidential, no consent page."""
    if settings.ui_client_secret is None:
        raise ConfigurationError(
            "INSULA_UI_CLIENT_SECRET is not set: give platform and UI the same 32 or more random characters"
        )
    values = {
        "name": "Insula",
        "first_party": True,
        "redirect_uris": [settings.ui_redirect_uri],
        "post_logout_redirect_uris": [settings.ui_url, f"{settings.ui_url}/"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": scopes.join(scopes.SCOPES),
    }
    row = insert(Client).values(client_id=UI_CLIENT_ID, **values)
    core.execute(row.on_conflict_do_update(index_elements=["client_id"], set_=values))
    secret_hash = fingerprint(settings.ui_client_secret.get_secret_value())
    secret = insert(ClientSecret).values(client_id=UI_CLIENT_ID, secret_hash=secret_hash)
    core.execute(secret.on_conflict_do_nothing(index_elements=["client_id", "secret_hash"]))
    core.execute(
        delete(ClientSecret).where(
            ClientSecret.client_id == UI_CLIENT_ID, ClientSecret.secret_hash != secret_hash
        )
    )


def ensure_cli_client(core: Session) -> None:
    """Register the command line: first-party, public, for it runs on anybody's machine."""
    values = {
        "name": "Insula command line",
        "first_party": True,
        "auth_method": "none",
        "application_type": "native",
        "grant_types": [DEVICE_CODE_GRANT_TYPE, "refresh_token"],
        "scope": scopes.join(scopes.SCOPES),
    }
    row = insert(Client).values(client_id=CLI_CLIENT_ID, **values)
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
            secrets=[ClientSecret(secret_hash=fingerprint(secret))],
            grant_types=["client_credentials"],
            scope=scopes.join(wanted),
        )
    )
    core.flush()
    return client_id, secret
