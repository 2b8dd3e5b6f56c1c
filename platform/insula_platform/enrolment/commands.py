"""`insula device claim-codes`, `provisioning-key`, `enrolments`, `approve`, `reject`, at a terminal."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from insula_platform.operator.commands import AsJson, acting_operator, print_json

if TYPE_CHECKING:
    from insula_platform.onboarding import Desk

TenantSlug = Annotated[str, typer.Option("--tenant", help="The tenant they belong to.")]
EnrolmentId = Annotated[UUID, typer.Argument(metavar="ID", help="See `insula device enrolments`.")]
Prefix = Annotated[str, typer.Option(help="How the names of its devices begin.")]
Place = Annotated[
    str | None, typer.Option(metavar="SITE/BUILDING/STOREY/SPACE", help="Where they are; it must be there.")
]


def add_enrolment_commands(device: typer.Typer) -> None:
    """Put the commands into the group `insula device`."""
    device.command(name="claim-codes")(claim_codes)
    device.command(name="provisioning-key")(provisioning_key)
    device.command(name="enrolments")(enrolments)
    device.command(name="approve")(approve)
    device.command(name="reject")(reject)


def claim_codes(
    tenant: TenantSlug,
    name: Annotated[str, typer.Option(help="What the batch is called; its devices are named after it.")],
    count: Annotated[int, typer.Option(help="How many codes.")],
    prefix: Prefix,
    device_type: Annotated[
        str | None, typer.Option("--type", help="Their device type: see `insula device types`.")
    ] = None,
    space: Place = None,
    expires_days: Annotated[int, typer.Option(min=1, help="Days until they are good for nothing.")] = 366,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="A new file for the codes. [default: standard output]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make claim codes to print on boxes, as CSV: number, device, code. They are written this once."""
    from insula_platform.onboarding import opened
    from insula_platform.told_once import told_once
    from insula_tenants.enrolment.claims import NewBatch, make_batch

    with opened(tenant) as desk, told_once(out) as written:
        new = NewBatch(name, count, prefix, timedelta(days=expires_days), device_type, _space(desk, space))
        with desk.databases.core() as core:
            batch, codes = make_batch(core, desk.databases, desk.context, new, actor=acting_operator())
            sheet = csv.writer(written, lineterminator="\r\n")
            sheet.writerow(["number", "device", "code"])
            sheet.writerows((number, f"{prefix}-{number}", code) for number, code in enumerate(codes, 1))
            written.flush()  # before the codes are good, so that none is good that nobody has
    told = f"batch {batch}: {count} codes, good for {expires_days} days"
    Console(stderr=True).print(told, highlight=False, markup=False)


def provisioning_key(
    tenant: TenantSlug,
    name: Annotated[str, typer.Option(help="What the key is called.")],
    prefix: Prefix,
    device_type: Annotated[
        list[str] | None, typer.Option("--type", help="What its devices may say they are; may be repeated.")
    ] = None,
    space: Place = None,
    approve_serial: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Serial numbers that need nobody's approval; may be repeated."),
    ] = None,
    most_devices: Annotated[int, typer.Option(help="How many devices it lets in.")] = 100,
    expires_days: Annotated[int, typer.Option(min=1, help="Days until it is good for nothing.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make a key with which a fleet's devices announce themselves. Its secret is shown this once."""
    from insula_platform.onboarding import opened
    from insula_tenants.enrolment.keys import NewKey, make_key

    with opened(tenant) as desk:
        new = NewKey(
            name,
            prefix,
            timedelta(days=expires_days),
            most_devices,
            tuple(device_type or ()),
            _space(desk, space),
            tuple(approve_serial or ()),
        )
        with desk.databases.core() as core:
            key, secret = make_key(core, desk.databases, desk.context, new, actor=acting_operator())
    if as_json:
        print_json({"key": key._asdict(), "secret": secret})
        return
    for label, value in (("key", key.id), ("secret", secret), ("good until", _moment(key.expires_at))):
        Console().print(f"{label:<18} {value}", highlight=False, markup=False, soft_wrap=True)


def enrolments(
    tenant: TenantSlug,
    state: Annotated[str | None, typer.Option(help="waiting, approved, enrolled or rejected.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices that announced themselves, oldest first."""
    from insula_platform.onboarding import opened
    from insula_tenants.enrolment.holding import list_enrolments

    found: list[Any] = []
    with opened(tenant) as desk, desk.databases.tenant(desk.context) as session:
        while page := list_enrolments(
            session,
            state=state,  # type: ignore[arg-type] # another matches none
            after=(found[-1].created_at, found[-1].id) if found else None,
            limit=1000,
        ):
            found += page
    if as_json:
        print_json([view._asdict() for view in found])
        return
    table = Table("Id", "Serial", "Type", "State", "Device", "From", "Times", "Last asked")
    for view in found:
        # A serial number is what a stranger said.
        cells = (view.serial, view.type, view.state, view.device, view.address, view.times)
        table.add_row(str(view.id), *(escape(str(cell or "")) for cell in cells), _moment(view.asked_at))
    Console().print(table)


def approve(
    enrolment: EnrolmentId,
    tenant: TenantSlug,
    device: Annotated[str, typer.Option(help="Its name in topics and URLs; never changes.")],
    name: Annotated[
        str | None,
        typer.Option(help="The name that people know it by. [default: what it said]", show_default=False),
    ] = None,
    space: Place = None,
) -> None:
    """Let a device in that waits. It fetches its login the next time it asks."""
    from insula_platform.onboarding import opened
    from insula_tenants.enrolment import holding

    with opened(tenant) as desk:
        space_id = _space(desk, space)
        with desk.databases.core() as core, desk.databases.tenant(desk.context) as session:
            view = holding.approve(
                core,
                session,
                desk.context,
                enrolment,
                device=device,
                name=name,
                space_id=space_id,
                actor=acting_operator(),
            )
    Console().print(f"{view.serial} is approved as {view.device}", highlight=False, markup=False)


def reject(enrolment: EnrolmentId, tenant: TenantSlug) -> None:
    """Turn a device away. It may not ask again."""
    from insula_platform.onboarding import opened
    from insula_tenants.enrolment import holding

    with (
        opened(tenant) as desk,
        desk.databases.core() as core,
        desk.databases.tenant(desk.context) as session,
    ):
        view = holding.reject(core, session, desk.context, enrolment, actor=acting_operator())
    Console().print(f"{view.serial} is rejected", highlight=False, markup=False)


def _space(desk: Desk, path: str | None) -> int | None:
    from insula_tenants.spaces import find_space

    if path is None:
        return None
    with desk.databases.tenant(desk.context) as session:
        return find_space(session, path)


def _moment(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"
