"""`insula device import`: many devices by one file, at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from insula_platform.operator.commands import acting_operator
from insula_tenants.errors import InvalidInput

if TYPE_CHECKING:
    from insula_platform.onboarding import Desk
    from insula_tenants.device_imports.check import Checked
    from insula_tenants.device_imports.table import GivenRow


class OnError(StrEnum):
    """What becomes of a file with bad rows."""

    STOP = "stop"
    SKIP = "skip"


def add_import_commands(device: typer.Typer) -> None:
    """Put the command into the group `insula device`."""
    device.command(name="import")(device_import)


def device_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, or a JSON array.")],
    tenant: Annotated[str, typer.Option(help="The tenant they belong to.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: say what each row is.")] = False,
    on_error: Annotated[
        OnError, typer.Option(help="Of a file with bad rows take nothing, or the good ones alone.")
    ] = OnError.STOP,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.csv",
            help="A new file for the logins. [default: standard output]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring in the devices of a file. Their logins are written this once.

    Columns are device, name, type, space, gateway, serial, expected_interval and labels; the first two must
    be there. The same file again changes nothing. The exit code is 1 when a bad row keeps the others out.
    """
    from insula_platform.device_imports.service import check
    from insula_platform.onboarding import opened

    rows = _read(file)
    console = Console(stderr=not dry_run)
    with opened(tenant) as desk:
        if credentials is not None and desk.broker.takes == "certificate":
            raise InvalidInput("credentials", "devices sign in with certificates here: leave it out")
        with desk.databases.core() as core:
            checked = check(core, desk.databases, desk.context, rows)
        _print_report(console, checked)
        if on_error is OnError.STOP and checked.count("bad"):
            console.print("nothing was changed: mend these rows, or leave them out with --on-error skip")
            raise typer.Exit(1)
        if checked.new and not dry_run:
            _bring_in(desk, checked, credentials)


def _read(file: Path) -> list[GivenRow]:
    from insula_tenants.device_imports.table import read_csv, read_json

    readers = {".csv": read_csv, ".json": read_json}
    read = readers.get(file.suffix.lower())
    if read is None:
        raise InvalidInput("file", f"{file} is of no kind that is known: give a file named .csv or .json")
    try:
        return read(file.read_bytes())
    except OSError as error:
        raise InvalidInput("file", f"{file} cannot be read: {error.strerror}") from None


def _bring_in(desk: Desk, checked: Checked, to: Path | None) -> None:
    from insula_platform.device_imports.credentials import credentials_csv
    from insula_platform.told_once import told_once
    from insula_tenants.broker import new_password
    from insula_tenants.device_imports.work import bring_in

    passwords = {device.slug: new_password() for device in checked.new}
    with told_once(to) as written:
        if desk.broker.takes == "password":
            # First, so that a full disk is found before there is a device whose password is lost.
            written.write(credentials_csv(desk.settings, desk.context.slug, passwords))
            written.flush()
        with _progress() as report:
            bring_in(
                desk.databases,
                desk.broker,
                desk.context,
                checked.new,
                passwords,
                actor=acting_operator(),
                report=report,
            )


def _print_report(console: Console, checked: Checked) -> None:
    bad = [result for result in checked.results if result.outcome == "bad"]
    if bad:
        table = Table("Line", "Device", "Column", "What is wrong")
        for row in bad:
            table.add_row(
                *(escape(str(cell or "")) for cell in (row.line, row.device, row.field, row.reason))
            )
        console.print(table)
    counts = ", ".join(f"{checked.count(outcome)} {outcome}" for outcome in ("new", "unchanged", "bad"))
    console.print(f"{len(checked.results)} rows: {counts}", highlight=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("registering", total=None)
        yield lambda step, done, total: bar.update(task, description=step, completed=done, total=total)
