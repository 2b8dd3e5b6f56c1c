"""`insula client …`: the clients of a tenant, for its operator at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from insula_platform.operator.commands import AsJson, Slug, acting_operator, open_databases, print_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from insula_platform.clients.service import Maker

client = typer.Typer(help="A tenant's programs: service clients and apps.", no_args_is_help=True)

ClientId = Annotated[str, typer.Argument(help="The client's id.")]


@client.command(name="create")
def client_create(
    slug: Slug,
    name: Annotated[str, typer.Argument(help="What the program does.")],
    scope: Annotated[list[str], typer.Option(help="The most it may ask for; repeat it for several.")],
    as_json: AsJson = False,
) -> None:
    """Make a client that acts for itself. Its secret is shown this once."""
    from insula_platform.clients.service import ClientMetadata, create_client

    with _at(slug) as (core, maker):
        made, secret = create_client(core, maker, ClientMetadata(name, scope, ["client_credentials"]))
        told = {"client_id": made.client_id, "client_secret": secret}
    _tell(told, as_json=as_json)


@client.command(name="list")
def client_list(slug: Slug, as_json: AsJson = False) -> None:
    """List the tenant's clients, with when their secrets were last used."""
    from insula_platform.clients.schemas import Client
    from insula_platform.clients.service import list_clients

    with _at(slug) as (core, maker):
        found = [Client.of(each) for each in list_clients(core, maker.tenant, limit=10_000)]
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    table = Table("Client", "Name", "State", "Proof", "Scopes", "Secrets", "Last used")
    for each in found:
        uses = [secret.last_used_at for secret in each.secrets if secret.last_used_at]
        table.add_row(
            each.client_id,
            each.name,
            "disabled" if each.disabled_at else "active",
            each.token_endpoint_auth_method,
            " ".join(each.scopes),
            str(len(each.secrets)),
            f"{max(uses):%Y-%m-%d %H:%M}" if uses else "never",
        )
    Console().print(table)


@client.command(name="rotate")
def client_rotate(
    slug: Slug,
    client_id: ClientId,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=2160, help="For how long old secrets stay good.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Make another secret, shown this once, while those that there are stay good for a while."""
    from insula_platform.clients.secrets import rotate_secret

    with _at(slug) as (core, maker):
        made, secret = rotate_secret(core, maker, client_id, timedelta(hours=overlap_hours))
        told = {"client_id": client_id, "secret_id": str(made.id), "client_secret": secret}
    _tell(told, as_json=as_json)


@client.command(name="revoke")
def client_revoke(
    slug: Slug,
    client_id: ClientId,
    secret_id: Annotated[UUID, typer.Argument(help="The secret's id: see `client list --json`.")],
) -> None:
    """Take one secret away, from the next request on."""
    from insula_platform.clients.secrets import revoke_secret

    with _at(slug) as (core, maker):
        revoke_secret(core, maker, client_id, secret_id)


@client.command(name="disable")
def client_disable(slug: Slug, client_id: ClientId) -> None:
    """From the next request on nothing the client holds is good for anything."""
    _set_disabled(slug, client_id, disabled=True)


@client.command(name="enable")
def client_enable(slug: Slug, client_id: ClientId) -> None:
    """Let a disabled client work again."""
    _set_disabled(slug, client_id, disabled=False)


@client.command(name="delete")
def client_delete(slug: Slug, client_id: ClientId) -> None:
    """Remove a client with all it holds."""
    from insula_platform.clients.service import delete_client

    with _at(slug) as (core, maker):
        delete_client(core, maker, client_id)


def _set_disabled(slug: str, client_id: str, *, disabled: bool) -> None:
    from insula_platform.clients.service import change_client

    with _at(slug) as (core, maker):
        change_client(core, maker, client_id, {"disabled": disabled})


@contextmanager
def _at(slug: str) -> Iterator[tuple[Session, Maker]]:
    """A transaction on the registry, and the operator as one who may do anything in this tenant."""
    from insula_platform.clients.service import Maker
    from insula_platform.oauth.scopes import API_SCOPES
    from insula_tenants.registry import resolve_tenant

    with open_databases() as databases, databases.core() as core:
        yield core, Maker(resolve_tenant(core, slug), acting_operator(), frozenset(API_SCOPES))


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    console = Console()
    for label, value in told.items():
        console.print(f"{label.replace('_', ' '):<13} {value}", highlight=False, markup=False, soft_wrap=True)
