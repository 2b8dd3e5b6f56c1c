"""`insula device …`: devices of a tenant, at a terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from insula_platform.operator.commands import AsJson, print_json
from insula_tenants.errors import InvalidInput

if TYPE_CHECKING:
    from insula_platform.onboarding import ToldDevice

device = typer.Typer(help="Devices of a tenant.", no_args_is_help=True)

Slug = Annotated[str, typer.Argument(help="The device.")]
TenantSlug = Annotated[str, typer.Option("--tenant", help="The tenant it belongs to.")]


@device.command(name="add")
def device_add(
    slug: Annotated[str, typer.Argument(help="Its name in topics and URLs; never changes.")],
    tenant: TenantSlug,
    name: Annotated[str, typer.Option(help="The name that people know it by.")],
    place: Annotated[
        str | None,
        typer.Option(metavar="SITE/BUILDING/STOREY/SPACE", help="Where it is; made where missing."),
    ] = None,
    time_zone: Annotated[str, typer.Option(help="IANA zone of a building that is made.")] = "UTC",
    device_type: Annotated[
        str | None, typer.Option("--type", help="Its device type: see `insula device types`.")
    ] = None,
    gateway: Annotated[str | None, typer.Option(help="The device that may publish for it.")] = None,
    serial: Annotated[str | None, typer.Option(help="The maker's number.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A word of your own; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a device and admit it at the broker. Its password is shown this once."""
    from insula_platform.onboarding import add_device, opened
    from insula_tenants.devices import NewDevice

    new = NewDevice(slug, name, gateway=gateway, type=device_type, serial=serial, labels=_labels(label or []))
    with opened(tenant) as desk:
        _tell(add_device(desk, new, place=place, time_zone=time_zone), as_json)


@device.command(name="list")
def device_list(
    tenant: TenantSlug,
    search: Annotated[str | None, typer.Option(help="Part of slug, name or serial number.")] = None,
    state: Annotated[str | None, typer.Option(help="active, held or decommissioned.")] = None,
    device_type: Annotated[str | None, typer.Option("--type", help="Only those of this type.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a tenant's devices."""
    from insula_platform.onboarding import opened
    from insula_tenants.devices import WhichDevices, list_devices

    which = WhichDevices(search=search, state=state, type=device_type)  # type: ignore[arg-type] # matches none
    found: list[Any] = []
    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        while page := list_devices(session, which, after=found[-1].id if found else None, limit=1000):
            found += page
    if as_json:
        print_json([view._asdict() for view in found])
        return
    table = Table("Device", "Name", "Type", "State", "Gateway", "Last seen")
    for view in found:
        table.add_row(view.id, view.name, view.type, view.state, view.gateway, _moment(view.last_seen))
    Console().print(table)


@device.command(name="show")
def device_show(slug: Slug, tenant: TenantSlug, as_json: AsJson = False) -> None:
    """Show a device, its points and its logins."""
    from insula_platform.onboarding import opened
    from insula_tenants.devices import find_device, list_credentials, list_points

    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        view = find_device(session, slug)
        points = list_points(session, device=slug, limit=1000)
        logins = list_credentials(session, tenant, slug)
    if as_json:
        print_json(
            view._asdict()
            | {
                "points": [point._asdict() for point in points],
                "credentials": [{**login._asdict(), "state": login.state} for login in logins],
            }
        )
        return
    console = Console()
    for label, value in view._asdict().items():
        console.print(f"{label.replace('_', ' '):<20} {value}", highlight=False, markup=False)
    table = Table("Point", "Brick class", "Unit", "Kind", "Range", title="Points", title_justify="left")
    for point in points:
        bounds = [str(bound) if bound is not None else "" for bound in (point.minimum, point.maximum)]
        table.add_row(point.name, point.brick_class, point.unit, point.kind, " … ".join(bounds).strip())
    console.print(table)
    table = Table("Number", "User name", "State", "Ends", title="Logins", title_justify="left")
    for login in logins:
        table.add_row(str(login.number), login.username, login.state, _moment(login.expires_at))
    console.print(table)


@device.command(name="types")
def device_types(tenant: TenantSlug, as_json: AsJson = False) -> None:
    """List the device types: the tenant's own, then the built-in ones."""
    from insula_platform.onboarding import opened
    from insula_tenants.devices import list_types

    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        found = list_types(session)
    if as_json:
        print_json(
            [
                {
                    "id": one.slug,
                    "name": one.name,
                    "built_in": one.built_in,
                    "points": [point.name for point in one.points],
                }
                for one in found
            ]
        )
        return
    table = Table("Type", "Name", "Whose", "Points")
    for one in found:
        whose = "built in" if one.built_in else "own"
        table.add_row(one.slug, one.name, whose, ", ".join(point.name for point in one.points))
    Console().print(table)


@device.command(name="rotate")
def device_rotate(
    slug: Slug,
    tenant: TenantSlug,
    overlap: Annotated[
        int, typer.Option(min=0, help="Hours for which the present logins go on; 0 ends them at once.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Give a device a new login, shown this once. The present ones go on for a while."""
    from insula_platform.onboarding import opened, rotate

    with opened(tenant) as desk:
        _tell(rotate(desk, slug, timedelta(hours=overlap)), as_json)


@device.command(name="revoke")
def device_revoke(
    slug: Slug,
    number: Annotated[int, typer.Argument(min=1, help="The login's number: see `insula device show`.")],
    tenant: TenantSlug,
) -> None:
    """Take one of a device's logins, and end the session that is open by it."""
    from insula_platform.onboarding import opened, revoke

    with opened(tenant) as desk:
        _ended(f"login {number} of {slug} is revoked", told=revoke(desk, slug, number))


@device.command(name="decommission")
def device_decommission(slug: Slug, tenant: TenantSlug) -> None:
    """Take a device out of use: its logins are gone, its points and readings stay."""
    from insula_platform.onboarding import decommission, opened

    with opened(tenant) as desk:
        _ended(f"{slug} is decommissioned", told=decommission(desk, slug))


@device.command(name="reactivate")
def device_reactivate(slug: Slug, tenant: TenantSlug, as_json: AsJson = False) -> None:
    """Bring a decommissioned device back into use, with a new login, shown this once."""
    from insula_platform.onboarding import opened, reactivate

    with opened(tenant) as desk:
        _tell(reactivate(desk, slug), as_json)


@device.command(name="password")
def device_password(slug: Slug, tenant: TenantSlug, as_json: AsJson = False) -> None:
    """Give a device's first login a new password, shown this once. The old one no longer works."""
    from insula_platform.onboarding import opened, renew_password

    with opened(tenant) as desk:
        _tell(renew_password(desk, slug), as_json)


def _tell(told: ToldDevice, as_json: bool) -> None:
    if as_json:
        print_json(told._asdict())
        return
    console = Console()
    for label, value in (
        ("broker", told.broker),
        ("user name", told.username),
        ("client id", told.client_id),
        ("password", told.password),
        ("telemetry topic", told.topic),
        ("other logins end", told.others_end_at),
    ):
        if value is not None:
            console.print(f"{label:<18} {value}", highlight=False, markup=False)


def _ended(what: str, *, told: bool) -> None:
    later = "" if told else "; the broker does not answer and is told as soon as it does"
    Console().print(f"{what}{later}", highlight=False, markup=False)


def _labels(given: list[str]) -> dict[str, str]:
    labels = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise InvalidInput("label", f"{one!r} is no label: give name=value")
        labels[name] = value
    return labels


def _moment(at: Any) -> str | None:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at is not None else None
