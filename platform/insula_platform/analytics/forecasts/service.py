"""Begin an analysis that somebody asked for."""

from __future__ import annotations

from uuid import UUID

from insula_platform.access import Access
from insula_platform.analytics.forecasts.queue import queue_slices
from insula_platform.idempotency import Once
from insula_tenants import audit
from insula_tenants.analytics.analyses.service import (
    AnalysisView,
    begin_analysis,
    find_analysis,
    open_slices,
)
from insula_tenants.database import Databases
from insula_tenants.errors import Conflict


def request_analysis(
    databases: Databases, access: Access, idempotency_key: str | None
) -> tuple[AnalysisView, bool]:
    """Begin an analysis of the tenant; what it is, and whether this very request began it.

    Raises `Conflict` while one is under way.
    """
    context = access.context
    with databases.core() as core:
        once = Once(core, access, "analyses", idempotency_key, {})
        with databases.tenant(context) as session:
            if once.made is not None:
                return find_analysis(session, UUID(once.made["analysis"])), False
            key = begin_analysis(session, "request")
            if key is None:
                raise Conflict(
                    "an analysis is under way, and there is one at a time: see …/analytics/analyses"
                )
            view = find_analysis(session, key)
            left = open_slices(session)
        # Committed in the tenant's database before its jobs are: the worker would find nothing.
        if left is not None:
            queue_slices(core, context.slug, *left)
        audit.record(
            core,
            access.actor,
            "analysis.requested",
            tenant=context.id,
            target=context.slug,
            detail={"id": str(key), "points": view.points},
        )
        once.keep({"analysis": str(key)})
    return view, True
