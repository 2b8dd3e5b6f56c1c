"""How one signing key follows another.

::

    published ──► signs ──► believed ──► retired
       lead time     until the     overlap
                  next one signs

Everybody who verifies tokens has read a new key by the time it signs, and an old one is there until the last
token that it signed is gone. A retired key's public half is kept apart, for what was signed to be kept, as
receipts of erasures are. No token is believed by it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.oauth.keys import lock_keys, make_key
from insula_platform.oauth.models import RetiredSigningKey, SigningKey
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.errors import Conflict, NotFound


class KeyState(StrEnum):
    """What a key is there for."""

    PUBLISHED = "published"
    """It will sign."""
    SIGNS = "signs"
    BELIEVED = "believed"
    """It signs no more, and its tokens are good."""


class KeyView(NamedTuple):
    """A key as the operator sees it."""

    kid: str
    state: KeyState
    published_at: datetime
    signs_from: datetime
    signs_until: datetime | None
    """None while no other key is to follow."""
    retired_from: datetime | None
    """When its last token is gone."""


def list_keys(core: Session, overlap: timedelta) -> list[KeyView]:
    """The keys that are published, newest first. `overlap` is how long a key is believed after it signed."""
    now = datetime.now(UTC)
    views: list[KeyView] = []
    follower: SigningKey | None = None
    is_signing_found = False
    for key in core.scalars(select(SigningKey).order_by(SigningKey.signs_from.desc(), SigningKey.kid)):
        if key.signs_from > now:
            state = KeyState.PUBLISHED
        else:
            state = KeyState.BELIEVED if is_signing_found else KeyState.SIGNS
            is_signing_found = True
        until = follower.signs_from if follower else None
        retired = until + overlap if until else None
        views.append(KeyView(key.kid, state, key.created_at, key.signs_from, until, retired))
        follower = key
    return views


def rotate(core: Session, secret_key: SecretStr, lead: timedelta, *, actor: Actor) -> str:
    """Publish a new key that signs when `lead` has passed; its id. No lead brings a waiting key forward.

    Raises `Conflict` when a key waits already: two that rotate at once make one key.
    """
    lock_keys(core)
    signs_from = datetime.now(UTC) + lead
    waiting = core.scalar(select(SigningKey).where(SigningKey.signs_from > datetime.now(UTC)))
    if waiting is None:
        kid = str(make_key(core, secret_key, signs_from).kid)
    elif lead:
        raise Conflict(
            f"the key {waiting.kid} signs from {waiting.signs_from:%Y-%m-%d %H:%M} UTC on: wait for it"
        )
    else:
        waiting.signs_from, kid = signs_from, waiting.kid
    detail = {"signs_from": signs_from.isoformat(timespec="seconds")}
    audit.record(core, actor, "signing_key.rotated", tenant=None, target=kid, detail=detail)
    return kid


def retire(core: Session, kid: str, overlap: timedelta, *, actor: Actor) -> None:
    """Take a key away before its time: nothing that it signed is believed any more, nor can be checked.

    Raises `NotFound`, and `Conflict` for the key that signs.
    """
    lock_keys(core)
    view = next((view for view in list_keys(core, overlap) if view.kid == kid), None)
    if view is None:
        raise NotFound(f"there is no key {kid!r}")
    if view.state is KeyState.SIGNS:
        raise Conflict(f"the key {kid} signs: let another one sign first, by a rotation without lead time")
    core.delete(core.get_one(SigningKey, kid))
    audit.record(
        core, actor, "signing_key.retired", tenant=None, target=kid, detail={"state": view.state.value}
    )


def retire_superseded(core: Session, overlap: timedelta) -> list[str]:
    """Retire the keys whose last token is gone; their ids. The private halves are deleted."""
    lock_keys(core)
    now = datetime.now(UTC)
    due = [
        view.kid
        for view in list_keys(core, overlap)
        if view.retired_from is not None and view.retired_from <= now
    ]
    for kid in due:
        key = core.get_one(SigningKey, kid)
        core.add(RetiredSigningKey(kid=kid, public_jwk=key.public_jwk, signs_from=key.signs_from))
        core.delete(key)
        audit.record(core, audit.SYSTEM, "signing_key.retired", tenant=None, target=kid)
    return due


def retired_keys(core: Session) -> list[dict[str, object]]:
    """The public halves of the keys that are retired, as JWKs, newest first."""
    query = select(RetiredSigningKey.public_jwk).order_by(RetiredSigningKey.signs_from.desc())
    return list(core.scalars(query))
