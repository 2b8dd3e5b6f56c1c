"""Write down what a broker refused, for whichever process was told of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from insula_tenants.broker.refusals import Noted
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.diagnostics.health import Refusal, note_refusals
from insula_tenants.registry import resolve_many


def write_refusals(databases: Databases, noted: Iterable[Noted]) -> None:
    """Add refusals to what is known of their devices; those of nobody are passed over.

    Raises SQLAlchemy's errors when a database is away: what was not written by then is lost, and that is
    borne, since the device will be refused again.
    """
    by_tenant: dict[str, list[Refusal]] = defaultdict(list)
    for refused, at, times in noted:
        by_tenant[refused.tenant].append(Refusal(refused.device, at, refused.what, refused.reason, times))
    if not by_tenant:
        return
    with databases.core() as core:
        found = resolve_many(core, list(by_tenant))
    for slug, refusals in by_tenant.items():
        context = found[slug]
        if isinstance(context, TenantContext):
            with databases.tenant(context) as session:
                note_refusals(session, refusals)
