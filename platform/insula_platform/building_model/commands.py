"""`insula model …`: a tenant's building model, at a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree as Picture

from insula_platform.devices.commands import TenantSlug
from insula_platform.operator.commands import AsJson, print_json

if TYPE_CHECKING:
    from insula_tenants.building_model.tree import Counts

model = typer.Typer(help="The building model of a tenant.", no_args_is_help=True)


@model.command(name="tree")
def model_tree(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """Show sites, buildings, storeys and spaces, and how much is in each."""
    from insula_platform.onboarding import opened
    from insula_tenants.building_model.tree import read_tree

    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        tree = read_tree(session)
    if as_json:
        print_json(asdict(tree) | {"zones": [zone._asdict() for zone in tree.zones]})
        return
    picture = Picture(_line(tenant, "", tree.counts))
    for site in tree.sites:
        of_site = picture.add(_line(site.name, site.brick_class, site.counts))
        for building in site.buildings:
            of_building = of_site.add(_line(building.name, building.brick_class, building.counts))
            for storey in building.storeys:
                of_storey = of_building.add(_line(storey.name, storey.brick_class, storey.counts))
                for space in storey.spaces:
                    of_storey.add(_line(space.name, space.brick_class, space.counts))
    for zone in tree.zones:
        picture.add(f"{escape(zone.name)} [dim]{zone.brick_class}, {len(zone.spaces)} spaces[/]")
    Console().print(picture)


@model.command(name="search")
def model_search(
    words: Annotated[str, typer.Argument(help="Part of a name, a Brick class or an IRI.")],
    tenant: TenantSlug,
    as_json: AsJson = False,
) -> None:
    """Find sites, buildings, storeys, spaces, zones, equipment and points."""
    from insula_platform.onboarding import opened
    from insula_tenants.building_model.search import search

    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        found = search(session, words, limit=1000)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    table = Table("Kind", "Id", "Name", "Brick class", "In")
    for one in found:
        table.add_row(one.kind, str(one.id), escape(one.name), one.brick_class, escape(one.path or ""))
    Console().print(table)


def _line(name: str, brick_class: str, counts: Counts) -> str:
    """What stands on a line of the tree: the class, and what there is any of."""
    told = [f"{number} {what.replace('_', ' ')}" for what, number in asdict(counts).items() if number]
    return f"{escape(name)} [dim]{', '.join([*filter(None, [brick_class]), *told])}[/]"
