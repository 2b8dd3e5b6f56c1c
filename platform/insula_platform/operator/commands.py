"""`insula tenant …` and `insula operator …`: the same acts as the operator's API, at a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

tenant = typer.Typer(help="Tenants of this deployment.", no_args_is_help=True)
operator = typer.Typer(help="The operator's own programs.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Slug = Annotated[str, typer.Argument(help="The tenant's name in topics and URLs.")]


@tenant.command(name="create")
def tenant_create(
    slug: Annotated[str, typer.Argument(help="Its name in topics and URLs; never changes.")],
    name: Annotated[str, typer.Option(help="The name that people know it by.")],
    owner_email: Annotated[str | None, typer.Option(help="Whom to invite as its first owner.")] = None,
    plan: Annotated[str, typer.Option(help="Its plan: what it may use.")] = "standard",
    database: Annotated[str, typer.Option(help="Where it shall live.")] = "main",
    as_json: AsJson = False,
) -> None:
    """Create a tenant: schema, role and registry entry. Repeat it when it was cut off."""
    from insula_tenants.administration import Administration
    from insula_tenants.registry import create_tenant
    from insula_tenants.settings import TenantsSettings

    with closing(Administration(TenantsSettings().admin_urls())) as admins:
        made = create_tenant(
            admins, slug, name, database=database, plan=plan, owner_email=owner_email, actor=acting_operator()
        )
    if as_json:
        print_json({"id": made.id, "slug": made.slug, **_invitation(made.invitation)})
        return
    console = Console()
    console.print(f"tenant {slug} is ready ({made.id})", highlight=False)
    if made.invitation is not None:
        _print_invitation(owner_email, made.invitation)


@tenant.command(name="invite")
def tenant_invite(
    slug: Slug,
    email: Annotated[str, typer.Argument(help="Whom to invite as an owner.")],
    as_json: AsJson = False,
) -> None:
    """Invite an owner, in place of an open invitation to the same address."""
    from insula_platform.operator import service

    with open_databases() as databases:
        token = service.invite_owner(databases, slug, email, actor=acting_operator())
    if as_json:
        print_json(_invitation(token))
    else:
        _print_invitation(email, token)


@tenant.command(name="list")
def tenant_list(as_json: AsJson = False) -> None:
    """List the tenants."""
    from insula_platform.operator import service

    with open_databases() as databases:
        views = service.show_all(databases)
    if as_json:
        print_json([view._asdict() for view in views])
        return
    table = Table("Slug", "Name", "State", "Plan", "Database", "Schema")
    for view in views:
        table.add_row(
            view.slug, view.name, view.status, view.plan, view.database, view.schema_version or "being made"
        )
    Console().print(table)


@tenant.command(name="show")
def tenant_show(slug: Slug, as_json: AsJson = False) -> None:
    """Show one tenant."""
    from insula_platform.operator import service

    with open_databases() as databases:
        _print_view(service.show(databases, slug), as_json=as_json)


@tenant.command(name="suspend")
def tenant_suspend(
    slug: Slug,
    reason: Annotated[str, typer.Option(help="Why: the tenant's people read it.")],
    as_json: AsJson = False,
) -> None:
    """Close a tenant: its people, its programs and its devices."""
    from insula_platform.operator import service

    with open_databases() as databases:
        _print_view(
            service.suspend(databases, _broker(), slug, reason, actor=acting_operator()), as_json=as_json
        )


@tenant.command(name="resume")
def tenant_resume(slug: Slug, as_json: AsJson = False) -> None:
    """Open a suspended tenant."""
    from insula_platform.operator import service

    with open_databases() as databases:
        _print_view(service.resume(databases, _broker(), slug, actor=acting_operator()), as_json=as_json)


@tenant.command(name="delete")
def tenant_delete(
    slug: Slug,
    confirm: Annotated[str, typer.Option(prompt="Type the slug once more", help="The slug once more.")],
    grace_days: Annotated[int, typer.Option(help="Days for which it can be cancelled.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Close a tenant now, and erase it when the grace period is over."""
    from insula_platform.operator import service
    from insula_tenants.errors import InvalidInput

    if confirm != slug:
        raise InvalidInput("confirm", f"{confirm!r} is not {slug!r}: nothing was changed")
    with open_databases() as databases:
        view = service.delete(databases, _broker(), slug, timedelta(days=grace_days), actor=acting_operator())
        _print_view(view, as_json=as_json)


@tenant.command(name="cancel-deletion")
def tenant_cancel_deletion(slug: Slug, as_json: AsJson = False) -> None:
    """Keep a tenant whose grace period is not over."""
    from insula_platform.operator import service

    with open_databases() as databases:
        _print_view(service.keep(databases, _broker(), slug, actor=acting_operator()), as_json=as_json)


@operator.command(name="client")
def operator_client(
    name: Annotated[str, typer.Argument(help="What the program does.")], as_json: AsJson = False
) -> None:
    """Make an OAuth client for /api/v1/operator. Its secret is shown this once."""
    from insula_platform.oauth.clients import create_operator_client
    from insula_platform.oauth.scopes import OPERATOR_SCOPES, join
    from insula_tenants import audit

    with open_databases() as databases, databases.core() as core:
        client_id, secret = create_operator_client(core, name, join(OPERATOR_SCOPES))
        audit.record(
            core,
            acting_operator(),
            "operator.client_created",
            tenant=None,
            target=client_id,
            detail={"name": name},
        )
    if as_json:
        print_json({"client_id": client_id, "client_secret": secret})
        return
    console = Console()
    console.print(f"client id     {client_id}", highlight=False, markup=False)
    console.print(f"client secret {secret}", highlight=False, markup=False)


@contextmanager
def open_databases() -> Iterator[Any]:
    """The services' databases, by the environment."""
    from insula_tenants.database import Databases
    from insula_tenants.settings import TenantsSettings

    databases = Databases(TenantsSettings().service_urls(), pool_size=1)
    try:
        yield databases
    finally:
        databases.close()


def _broker() -> Any:
    from insula_tenants.broker import broker_access
    from insula_tenants.settings import TenantsSettings

    return broker_access(TenantsSettings())


def acting_operator() -> Any:
    """Who types, as the audit log names them."""
    from insula_tenants.audit import Actor

    return Actor("operator", f"cli uid {os.getuid()}")


def _invitation(token: str | None) -> dict[str, str | None]:
    from insula_platform.invitations.links import invitation_link
    from insula_platform.settings import AddressSettings

    link = invitation_link(AddressSettings().public_url, token) if token is not None else None
    return {"invitation": token, "invitation_link": link}


def _print_invitation(email: str | None, token: str) -> None:
    console = Console()
    console.print(
        f"{email} can join here, once, within 14 days; the link is shown this once:", highlight=False
    )
    # Whole on one line, however narrow the terminal: it is to be copied.
    console.print(_invitation(token)["invitation_link"], highlight=False, markup=False, soft_wrap=True)


def _print_view(view: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(view._asdict())
        return
    console = Console()
    for label, value in view._asdict().items():
        if value is not None:
            console.print(f"{label:<16} {value}", highlight=False, markup=False)


def print_json(value: Any) -> None:
    """A value for programs."""
    print(json.dumps(value, default=str))  # noqa: T201 - the command's output
