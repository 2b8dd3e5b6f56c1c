"""Dead letters that are to be processed again: take them, store what they hold now, keep the rest.

All of it is one transaction: a dead letter is gone exactly when its readings are stored. Rows that another
process works on are passed over, so that several may work on one tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry.sql import statement
from insula_tenants.telemetry.write import NewDeadLetter


class MarkedLetter(NamedTuple):
    """A dead letter that somebody wants processed again."""

    id: int
    first_received_at: datetime
    last_received_at: datetime
    times: int
    topic: str
    device: str
    reason: str
    detail: str
    payload: bytes
    replays: int


@dataclass(frozen=True, slots=True)
class StillDead:
    """One that could not be stored again, and why."""

    letter: MarkedLetter
    reason: str
    detail: str


def take_marked(connection: psycopg.Connection, context: TenantContext, *, limit: int) -> list[MarkedLetter]:
    """Up to `limit` marked letters, locked until the caller's transaction ends; sets the tenant's role."""
    connection.execute(SET_ROLE, (context.schema,))
    cursor = connection.cursor(row_factory=class_row(MarkedLetter))
    return cursor.execute(statement("take_replays"), {"limit": limit}).fetchall()


def settle(
    connection: psycopg.Connection, letters: Sequence[MarkedLetter], still_dead: Sequence[StillDead]
) -> None:
    """Delete the letters but for those that could not be stored; in the transaction that took them."""
    connection.execute("DELETE FROM dead_letters WHERE id = ANY(%s)", ([letter.id for letter in letters],))
    for one in still_dead:
        letter = one.letter
        anew = NewDeadLetter(
            letter.last_received_at, letter.topic, letter.device, one.reason, one.detail, letter.payload
        )
        connection.execute(
            statement("keep_replayed"),
            anew.parameters()
            | {
                "id": letter.id,
                "first_received_at": letter.first_received_at,
                "last_received_at": letter.last_received_at,
                "times": letter.times,
                "replays": letter.replays + 1,
            },
        )
