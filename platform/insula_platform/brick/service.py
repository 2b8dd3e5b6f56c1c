"""Take a file's building model in, and write a tenant's as a file."""

from __future__ import annotations

from typing import NamedTuple

from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.brick.apart import FileFormat
from insula_tenants.brick.files import GraphFormat
from insula_tenants.brick.read import Reading
from insula_tenants.brick.write import write_brick
from insula_tenants.building_model import Outcome, Problem, apply_model, read_model
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases


class Imported(NamedTuple):
    """What became of a file."""

    outcome: Outcome
    problems: tuple[Problem, ...]
    """What the file says and a model cannot hold, then what this tenant cannot take as it is."""


def import_model(
    databases: Databases,
    context: TenantContext,
    reading: Reading,
    form: FileFormat,
    *,
    dry_run: bool,
    actor: Actor,
) -> Imported:
    """Let the tenant's model be what the file says, as far as it says something; the audit log has it."""
    with databases.core() as core:
        with databases.tenant(context) as session:
            outcome = apply_model(session, reading.document, dry_run=dry_run)
        if not dry_run:
            audit.record(
                core,
                actor,
                "building_model.imported",
                tenant=context.id,
                target=context.slug,
                detail={
                    "format": form,
                    "created": dict(outcome.created),
                    "updated": dict(outcome.updated),
                    "problems": len(reading.problems) + len(outcome.problems),
                },
            )
    return Imported(outcome, reading.problems + outcome.problems)


def export_model(
    databases: Databases, context: TenantContext, building: int | None, form: GraphFormat
) -> str:
    """The tenant's model, or a building's, as a file; `NotFound` for a building that is none."""
    with databases.tenant(context) as session:
        document = read_model(session, building=building)
    return write_brick(document, form)
