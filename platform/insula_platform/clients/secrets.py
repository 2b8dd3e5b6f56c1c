"""A client's secrets: a new one takes the place of the old ones while they stay good for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from insula_platform.clients.service import Maker, check_may_act_as, find_client
from insula_platform.oauth.models import Client, ClientSecret, fingerprint, new_secret
from insula_tenants import audit
from insula_tenants.errors import Conflict, NotFound

MAX_SECRETS = 3
"""How many may be good at once: two during a change, one more for a change that overtakes it."""


def rotate_secret(
    core: Session, maker: Maker, client_id: str, overlap: timedelta
) -> tuple[ClientSecret, str]:
    """A new secret, and its row. Those that were there stay good for `overlap`, or for what they have left.

    Raises `NotFound` when the tenant has no such client, `Conflict` when it has no use for a secret or has
    too many that are good, `NotAllowed` for whoever holds less than the client.
    """
    client = find_client(core, maker.tenant, client_id, for_update=True)
    check_may_act_as(maker, client)
    if not client.auth_method.startswith("client_secret_"):
        raise Conflict(f"the client proves who it is by {client.auth_method}: it has no secrets")
    now = datetime.now(UTC)
    end = now + overlap
    for old in list(client.secrets):
        old.expires_at = min(old.expires_at or end, end)
        if not old.is_good(now):
            client.forget(old)
    if len(client.secrets) >= MAX_SECRETS:
        raise Conflict(
            f"{MAX_SECRETS} secrets are good at this moment: revoke one, or wait for one to expire"
        )
    secret = new_secret()
    made = ClientSecret(secret_hash=fingerprint(secret), created_at=now)
    client.secrets.append(made)
    core.flush()
    audit.record(
        core,
        maker.actor,
        "client.secret_rotated",
        tenant=maker.tenant.id,
        target=client_id,
        detail={"secret": str(made.id), "others_expire_at": end.isoformat()},
    )
    return made, secret


def revoke_secret(core: Session, maker: Maker, client_id: str, secret_id: UUID) -> None:
    """Take one secret away, from the next request on. `NotFound` when the client has none of this id."""
    client = find_client(core, maker.tenant, client_id, for_update=True)
    client.forget(find_secret(client, secret_id))
    audit.record(
        core,
        maker.actor,
        "client.secret_revoked",
        tenant=maker.tenant.id,
        target=client_id,
        detail={"secret": str(secret_id)},
    )


def find_secret(client: Client, secret_id: UUID) -> ClientSecret:
    """One secret of the client; `NotFound` when it has none of this id."""
    found = next((secret for secret in client.secrets if secret.id == secret_id), None)
    if found is None:
        raise NotFound(f"the client has no secret {secret_id}")
    return found
