"""Replay and discard, with their entries in the audit log: what API and command line share."""

from __future__ import annotations

from collections.abc import Mapping

from insula_platform.link import BrokerLink
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.broker import BrokerError
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.telemetry import dead_letters
from insula_tenants.telemetry.dead_letters import Which


class NoReplays(BrokerError):
    """The process has no login at the broker to ask ingest by."""


def replay(
    databases: Databases, link: BrokerLink | None, context: TenantContext, which: Which, *, actor: Actor
) -> int:
    """Have those that match processed again; how many they are. Errors as those of `BrokerLink.replay`."""
    with databases.tenant(context) as session:
        marked = list(dead_letters.request_replay(session, which))
    if marked:
        _tell_ingest(databases, link, context, marked)
        _note(databases, context, actor, "dead_letters.replayed", _told(which) | {"letters": len(marked)})
    return len(marked)


def replay_one(
    databases: Databases,
    link: BrokerLink | None,
    context: TenantContext,
    letter_id: int,
    *,
    which: Which = dead_letters.ALL,
    actor: Actor,
) -> None:
    """Have one of these processed again. Raises `NotFound`, `Conflict`, and errors of `BrokerLink.replay`."""
    with databases.tenant(context) as session:
        dead_letters.request_replay_of(session, letter_id, which)
    _tell_ingest(databases, link, context, [letter_id])
    _note(databases, context, actor, "dead_letters.replayed", {"id": letter_id})


def discard(databases: Databases, context: TenantContext, which: Which, *, actor: Actor) -> int:
    """Throw away those that match; how many they were."""
    with databases.core() as core:
        with databases.tenant(context) as session:
            letters = dead_letters.discard(session, which)
        if letters:
            detail = _told(which) | {"letters": letters}
            audit.record(
                core,
                actor,
                "dead_letters.discarded",
                tenant=context.id,
                target=context.slug,
                detail=detail,
            )
    return letters


def discard_one(
    databases: Databases,
    context: TenantContext,
    letter_id: int,
    *,
    which: Which = dead_letters.ALL,
    actor: Actor,
) -> None:
    """Throw one of these away; `NotFound` when there is none of this id among them."""
    with databases.core() as core:
        with databases.tenant(context) as session:
            dead_letters.discard_one(session, letter_id, which)
        audit.record(
            core,
            actor,
            "dead_letters.discarded",
            tenant=context.id,
            target=context.slug,
            detail={"id": letter_id},
        )


def _tell_ingest(
    databases: Databases, link: BrokerLink | None, context: TenantContext, marked: list[int]
) -> None:
    """The marks are committed, so that ingest finds them; where it cannot be told, they are taken back."""
    try:
        if link is None:
            raise NoReplays("INSULA_LIVE_MQTT_PASSWORD is not set here: nothing was changed")
        link.replay(context.slug)
    except BrokerError:
        with databases.tenant(context) as session:
            dead_letters.withdraw_replay(session, marked)
        raise


def _note(
    databases: Databases, context: TenantContext, actor: Actor, action: str, detail: Mapping[str, object]
) -> None:
    with databases.core() as core:
        audit.record(core, actor, action, tenant=context.id, target=context.slug, detail=detail)


def _told(which: Which) -> dict[str, object]:
    said = {
        "device": which.device,
        "reason": which.reason,
        "from": which.starting and which.starting.isoformat(),
        "to": which.ending and which.ending.isoformat(),
    }
    return {name: value for name, value in said.items() if value is not None}
