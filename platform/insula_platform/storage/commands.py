"""`insula storage …`: how tenants' storage does, and what to do when it is not to be believed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from insula_platform.storage.service import StorageView

storage = typer.Typer(help="Readings and rollups on disk.", no_args_is_help=True)


@storage.command(name="status")
def storage_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show how far each tenant's rollups are, and what its readings take on disk."""
    from insula_platform.storage.service import storage_of_all
    from insula_tenants.database import Databases
    from insula_tenants.settings import TenantsSettings

    with (
        closing(Databases(TenantsSettings().service_urls(), pool_size=1)) as databases,
        databases.core() as core,
    ):
        views = storage_of_all(core)
    if as_json:
        told = [view._asdict() | {"bytes_per_reading": view.bytes_per_reading} for view in views]
        print(json.dumps(told, default=str))  # noqa: T201 - the command's output
        return
    console = Console()
    console.print(_table(views))
    console.print("lag: how far rollups are behind; anew: how much is to be rolled up again")
    if any(view.compresses is False for view in views):
        console.print("plain PostgreSQL compresses no readings: TimescaleDB does")


def _table(views: Sequence[StorageView]) -> Table:
    """A row a tenant. Columns that say nothing are left out, so that the others fit."""
    columns = {
        "tenant": [view.tenant for view in views],
        "rolled up until": [_minute(view.complete_until) or "not looked at yet" for view in views],
        "raw from": [_minute(view.raw_from)[:10] for view in views],
        "lag": [_number(view.lag_seconds, 1, 0, " s") for view in views],
        "anew": [_number(view.dirty_seconds, 3600, 1, " h") for view in views],
        "raw": [_number(view.raw_bytes, 1e6, 1, " MB") for view in views],
        "rollups": [_number(view.rollup_bytes, 1e6, 1, " MB") for view in views],
        "B/value": [_number(view.bytes_per_reading, 1, 1) for view in views],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=place > 0)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


@storage.command(name="rebuild")
def storage_rebuild(
    tenant: Annotated[str, typer.Argument(help="The tenant's name in topics and URLs.")],
    since: Annotated[datetime, typer.Option(help="From when on, UTC.")] = datetime(2000, 1, 1),  # noqa: DTZ001 - as Typer reads one
) -> None:
    """Have the worker make a tenant's rollups anew, from its raw readings as far as there are.

    Until it has done so, answers come from raw readings where those are there.
    """
    from insula_tenants.administration import Administration
    from insula_tenants.registry import resolve_closed_or_open
    from insula_tenants.rollups import mark
    from insula_tenants.settings import TenantsSettings

    with closing(Administration(TenantsSettings().admin_urls())) as admins:
        with admins.core() as core:
            context = resolve_closed_or_open(core, tenant)
        stretch = mark(admins, context, since.replace(tzinfo=UTC))
    told = (
        "there is nothing to make anew"
        if stretch is None
        else "the worker makes them anew from {} to {}".format(*map(_minute, stretch))
    )
    Console().print(f"rollups of {tenant}: {told}", highlight=False)


def _minute(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time else ""


def _number(value: float | None, unit: float, places: int, name: str = "") -> str:
    return "" if value is None else f"{value / unit:,.{places}f}{name}"
