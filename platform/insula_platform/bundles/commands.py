"""`insula tenant export` and `insula tenant import`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from insula_platform.operator.commands import acting_operator

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_bundle_commands(tenant: typer.Typer) -> None:
    """Put the commands into the group `insula tenant`."""
    tenant.command(name="export")(tenant_export)
    tenant.command(name="import")(tenant_import)


def tenant_export(
    slug: Annotated[str, typer.Argument(help="The tenant to export.")],
    to: Annotated[
        Path | None, typer.Option(help="File to write. [default: SLUG.zip]", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write everything a tenant has into one zip. Keep it as a backup is kept: it holds password hashes."""
    from insula_tenants import audit
    from insula_tenants.bundle.export import export_tenant
    from insula_tenants.database import Databases
    from insula_tenants.registry import resolve_tenant
    from insula_tenants.settings import TenantsSettings

    with closing(Databases(TenantsSettings().service_urls(), pool_size=2)) as databases:
        with databases.core() as core:
            context = resolve_tenant(core, slug)
        with _progress() as progress:
            exported = export_tenant(databases, context, to or Path(f"{slug}.zip"), progress=progress)
        rows = exported.manifest.readings.rows
        with databases.core() as core:
            audit.record(
                core,
                acting_operator(),
                "tenant.exported",
                tenant=context.id,
                target=slug,
                detail={"readings": rows, "bytes": exported.bytes},
            )
    if as_json:
        _print_json({"path": str(exported.path), "bytes": exported.bytes, "readings": rows})
        return
    Console().print(
        f"{exported.path}: {rows:,} readings, {exported.bytes / 2**20:.1f} MB", highlight=False, markup=False
    )


def tenant_import(
    bundle: Annotated[Path, typer.Argument(help="The zip that an export wrote.")],
    slug: Annotated[
        str | None,
        typer.Option("--as", help="Slug of the new tenant. [default: as it was]", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name that people know it by. [default: as it was]", show_default=False)
    ] = None,
    database: Annotated[str, typer.Option(help="The database it is to live in.")] = "main",
    plan: Annotated[str, typer.Option(help="Its plan: that of the bundle does not count.")] = "standard",
    as_json: AsJson = False,
) -> None:
    """Make a tenant from a bundle. It is there when everything is; repeat the command when it was cut off."""
    from insula_tenants.administration import Administration
    from insula_tenants.bundle.restore import import_bundle
    from insula_tenants.settings import TenantsSettings

    settings = TenantsSettings()
    with closing(Administration(settings.admin_urls())) as admins, _progress() as progress:
        imported = import_bundle(
            admins,
            bundle,
            slug,
            name=name,
            database=database,
            plan=plan,
            progress=progress,
            actor=acting_operator(),
        )
    asks_registry = settings.broker_access in {"http", "none"}
    if as_json:
        _print_json(
            {
                "tenant_id": str(imported.tenant_id),
                "slug": imported.slug,
                "readings": imported.readings,
                "devices": imported.devices,
                "devices_need_passwords": not asks_registry and imported.devices > 0,
                "members": imported.members,
                "without_account": imported.without_account,
            }
        )
        return
    lines = [f"tenant {imported.slug} is ready: {imported.readings:,} readings, {imported.devices} devices"]
    if imported.without_account:
        lines.append(f"no account here, invite them: {', '.join(imported.without_account)}")
    if imported.devices and asks_registry:
        lines.append(f"devices connect as {imported.slug}/DEVICE with the passwords they had")
    elif imported.devices:
        lines.append("devices need new passwords: the broker keeps its own, and a bundle holds only hashes")
    for line in lines:
        Console().print(line, highlight=False, markup=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("beginning", total=None)

        def progress(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total or None)

        yield progress


def _print_json(document: dict[str, object]) -> None:
    print(json.dumps(document))  # noqa: T201 - the command's output
