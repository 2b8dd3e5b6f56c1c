"""How slices of analyses stand in the queue: one round of slices after the other, over all tenants.

A slice's priority is its number, below zero. So every tenant's first slice comes before anybody's second, and
one with ten thousand points keeps nobody waiting; and any number of workers take what is next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict
from uuid import UUID

import psycopg
from procrastinate import App, SyncPsycopgConnector
from sqlalchemy.orm import Session

ANALYSE_TASK = "analyse-slice"
QUEUE = "analytics"
"""Its jobs have workers of their own: they compute, and would keep short jobs waiting."""

# Jobs are deferred on the caller's connection, so this application never opens one of its own.
_queue = App(connector=SyncPsycopgConnector())


class Place(TypedDict):
    """Where a slice's job stands in the queue."""

    lock: str
    queueing_lock: str
    priority: int


def place_of(analysis: UUID, number: int) -> Place:
    """One job of a slice waits at a time, and one works."""
    name = f"analysis:{analysis}:{number}"
    return Place(lock=name, queueing_lock=name, priority=-number)


def queue_slices(core: Session, tenant: str, analysis: UUID, numbers: Iterable[int]) -> None:
    """Queue the slices of an analysis that has just begun, in the caller's transaction on the registry."""
    connection = core.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)  # noqa: S101 - the one driver there is
    for number in numbers:
        place = place_of(analysis, number)
        _queue.configure_task(ANALYSE_TASK, queue=QUEUE, connection=connection, **place).defer(
            tenant=tenant, analysis=str(analysis), number=number
        )
