"""`insula plan …`, `insula tenant plan`, `… quota` and `… usage`: the same acts as the operator's API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from insula_platform.operator.commands import AsJson, Slug, acting_operator, open_databases, print_json

plan = typer.Typer(help="Plans: what tenants may use.", no_args_is_help=True)

Limits = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=NUMBER…", help="Limits, such as devices=25; NAME=unlimited lifts one."),
]


def add_quota_commands(tenant: typer.Typer) -> None:
    """Put the commands on one tenant into the group `insula tenant`."""
    tenant.command(name="plan")(tenant_plan)
    tenant.command(name="quota")(tenant_quota)
    tenant.command(name="usage")(tenant_usage)


@plan.command(name="list")
def plan_list(as_json: AsJson = False) -> None:
    """List the plans."""
    from insula_platform.operator import quotas

    with open_databases() as databases:
        views = quotas.show_plans(databases)
    if as_json:
        print_json([{"name": view.name, "limits": asdict(view.limits)} for view in views])
        return
    table = Table("Limit", *(view.name for view in views))
    for name in asdict(views[0].limits) if views else ():
        table.add_row(name, *(_told(getattr(view.limits, name)) for view in views))
    Console().print(table)


@plan.command(name="set")
def plan_set(
    name: Annotated[str, typer.Argument(help="The plan; it is made when there is none.")],
    limits: Limits = None,
    as_json: AsJson = False,
) -> None:
    """Give a plan these limits in place of all it had; one that is not named is unlimited."""
    from insula_platform.operator import quotas

    with open_databases() as databases:
        view, _ = quotas.put_plan(databases, name, _limits(limits or ()), actor=acting_operator())
    if as_json:
        print_json({"name": view.name, "limits": asdict(view.limits)})
        return
    for limit, value in asdict(view.limits).items():
        Console().print(f"{limit:<28} {_told(value)}", highlight=False, markup=False)


def tenant_plan(
    slug: Slug, name: Annotated[str, typer.Argument(help="The plan.")], as_json: AsJson = False
) -> None:
    """Put a tenant on a plan. Limits of its own stay."""
    from insula_platform.operator import quotas

    with open_databases() as databases:
        _show(quotas.put_quotas(databases, slug, plan=name, actor=acting_operator()), as_json)


def tenant_quota(slug: Slug, limits: Limits = None, as_json: AsJson = False) -> None:
    """Show a tenant's limits, or set its own, which count over its plan's; NAME=plan takes one away."""
    from insula_platform.operator import quotas

    with open_databases() as databases:
        view = quotas.show_quotas(databases, slug)
        if limits:
            tag = quotas.quotas_etag(view)
            own = view.own | _limits(each for each in limits if not each.endswith("=plan"))
            for each in limits:
                if each.endswith("=plan"):
                    own.pop(each.removesuffix("=plan"), None)
            view = quotas.put_quotas(databases, slug, own=own, if_match=tag, actor=acting_operator())
    _show(view, as_json)


def tenant_usage(
    slug: Slug,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC). [default: 31 days before]"),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The day after the last. [default: tomorrow]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant used, by day."""
    from insula_platform.operator import service
    from insula_platform.usage.service import usage_page
    from insula_tenants.usage import METRICS

    days, cursor = [], None
    with open_databases() as databases:
        tenant_id = service.show(databases, slug).id
        while True:
            page = usage_page(
                databases,
                first.date() if first else None,
                last.date() if last else None,
                tenant_id=tenant_id,
                cursor=cursor,
                limit=1000,
            )
            days += page.days
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        print_json([day._asdict() for day in days])
        return
    columns = [*METRICS, "devices_seen", "devices", "points", "storage_bytes"]
    table = Table("Day")
    for name in columns:
        table.add_column(name.replace("_", " ").capitalize(), justify="right")
    for day in days:
        values = (getattr(day, name) for name in columns)
        table.add_row(str(day.day), *("" if value is None else f"{value:,}" for value in values))
    Console().print(table)


def _limits(given: Iterable[str]) -> dict[str, int | None]:
    from insula_tenants.errors import InvalidInput

    limits: dict[str, int | None] = {}
    for each in given:
        name, _, value = each.partition("=")
        if value != "unlimited" and not value.removeprefix("-").isdecimal():
            raise InvalidInput("limits", f"{each!r} is no limit: write NAME=NUMBER, or NAME=unlimited")
        limits[name] = None if value == "unlimited" else int(value)
    return limits


def _show(view: Any, as_json: bool) -> None:
    limits = asdict(view.limits)
    if as_json:
        print_json(
            {"plan": view.plan, "own": view.own, "limits": limits, "use": view.use._asdict()},
        )
        return
    console = Console()
    console.print(f"plan {view.plan}", highlight=False, markup=False)
    table = Table("Limit", "Allowed", "In use", "From")
    for name, value in limits.items():
        used = getattr(view.use, name, None)
        table.add_row(
            name,
            _told(value),
            "" if used is None else f"{used:,}",
            "the tenant's own" if name in view.own else "the plan",
        )
    console.print(table)
    if view.use.measured_at is None:
        console.print("not measured yet: the worker does so each hour")
    else:
        console.print(f"in use: measured {view.use.measured_at:%Y-%m-%d %H:%M} UTC", highlight=False)


def _told(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"
