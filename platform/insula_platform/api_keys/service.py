"""Make, list and revoke API keys, in the caller's session on the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from insula_platform.access import Access
from insula_platform.access.keys import HINT, new_key
from insula_platform.access.policy import actions_of
from insula_platform.api_keys.models import ApiKey
from insula_platform.oauth import scopes
from insula_platform.oauth.models import fingerprint
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput, NotAllowed, NotFound
from insula_tenants.spaces import Places

USUAL_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
MOST = 500
"""Keys that a tenant may have."""


class Made(NamedTuple):
    """A new key, and itself, which is kept nowhere."""

    row: ApiKey
    key: str


def make_key(
    core: Session,
    access: Access,
    *,
    name: str,
    wanted: Sequence[str],
    places: Places | None,
    expires_at: datetime | None,
) -> Made:
    """A key for a program, made by the person who asks. `places` exist.

    It may what is wanted, as far as its maker's role and grant allow it at the moment of use. Raises
    `InvalidInput` for an unusable name, scope or expiry, `NotAllowed` for programs, `Conflict` when the
    tenant has too many.
    """
    if access.account is None:
        raise NotAllowed("only people make API keys: a key is bounded by the role of who made it")
    granted = _checked_scopes(access, wanted, places)
    name = name.strip()
    if not name or not name.isprintable():
        raise InvalidInput("name", "give a name of 1 to 200 printable characters")
    now = datetime.now(UTC)
    expires_at = expires_at or now + USUAL_LIFE
    if not now < expires_at <= now + LONGEST_LIFE:
        raise InvalidInput("expires_at", f"give a time within the next {LONGEST_LIFE.days} days")
    if (core.scalar(select(func.count()).where(ApiKey.tenant_id == access.context.id)) or 0) >= MOST:
        raise Conflict(f"the tenant has {MOST} API keys: revoke one that is not used any more")
    key = new_key()
    row = ApiKey(
        tenant_id=access.context.id,
        account_id=access.account,
        name=name,
        key_hash=fingerprint(key),
        hint=key[:HINT],
        scope=scopes.join(granted),
        places=places.told if places is not None else None,
        expires_at=expires_at,
    )
    core.add(row)
    core.flush()
    detail = {"name": name, "scope": row.scope, "places": row.places, "expires_at": expires_at.isoformat()}
    audit.record(
        core,
        access.actor,
        "api_key.created",
        tenant=access.context.id,
        target=str(row.id),
        detail=detail,
    )
    return Made(row, key)


def list_keys(
    core: Session, tenant: TenantContext, *, after: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[ApiKey]:
    """The tenant's keys, those that were made first first; those after `after`, at most `limit`."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant.id)
    if after is not None:
        query = query.where(tuple_(ApiKey.created_at, ApiKey.id) > after)
    return list(core.scalars(query.order_by(ApiKey.created_at, ApiKey.id).limit(limit)))


def find_key(core: Session, tenant: TenantContext, key_id: UUID) -> ApiKey:
    """One of the tenant's keys; `NotFound` when it has none of this id."""
    row = core.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.tenant_id == tenant.id))
    if row is None:
        raise NotFound(f"there is no API key {str(key_id)!r}")
    return row


def revoke_key(core: Session, tenant: TenantContext, key_id: UUID, *, actor: Actor) -> None:
    """Make the key good for nothing, from the next request on. Raises `NotFound`."""
    row = find_key(core, tenant, key_id)
    core.delete(row)
    detail = {"name": row.name}
    audit.record(core, actor, "api_key.revoked", tenant=tenant.id, target=str(key_id), detail=detail)


def _checked_scopes(access: Access, wanted: Sequence[str], places: Places | None) -> list[str]:
    """What is wanted, when whoever asks could do all of it: nobody raises themselves by a key."""
    unknown = [name for name in wanted if name not in scopes.API_SCOPES]
    if unknown:
        raise InvalidInput(
            "scopes", f"{', '.join(unknown)}: no such scope; use some of {', '.join(scopes.API_SCOPES)}"
        )
    too_much = [name for name in wanted if name not in access.scopes]
    if too_much:
        raise InvalidInput(
            "scopes", f"{', '.join(too_much)}: your own request may not do this, so no key of yours may"
        )
    if places is not None and (whole := set(wanted) - actions_of(wanted, None, within_places=True)):
        raise InvalidInput(
            "scopes", f"{', '.join(sorted(whole))}: this is of the whole tenant; leave it out, or places"
        )
    return list(dict.fromkeys(wanted))
