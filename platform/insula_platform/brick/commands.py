"""`insula model export`, `import` and `validate`: building models as files, at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from insula_platform.devices.commands import TenantSlug
from insula_platform.operator.commands import AsJson, acting_operator, print_json
from insula_tenants.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from insula_tenants.brick.apart import FileFormat
    from insula_tenants.building_model import ModelDocument, Problem

_FORMS: dict[str, FileFormat] = {
    ".ttl": "turtle",
    ".jsonld": "json-ld",
    ".json": "haystack",
}
_SHOWN = 100

ModelFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Brick: .ttl or .jsonld; Project Haystack: .json.")
]


def add_file_commands(model: typer.Typer) -> None:
    """Put the commands into the group `insula model`."""
    model.command(name="export")(model_export)
    model.command(name="import")(model_import)
    model.command(name="validate")(model_validate)


def model_export(
    tenant: TenantSlug,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .ttl or .jsonld file. [default: Turtle, to standard output]"),
    ] = None,
    building: Annotated[int | None, typer.Option(help="Only what is this building's: its id.")] = None,
) -> None:
    """Write the building model as a Brick graph. Read again, it gives the same model."""
    from insula_platform.brick.service import export_model
    from insula_platform.onboarding import opened

    form = "turtle" if to is None else _form(to)
    if form == "haystack":
        raise InvalidInput("to", f"{to} is of no kind that is written: name it .ttl or .jsonld")
    with opened(tenant) as desk:
        content = export_model(desk.databases, desk.context, building, form)
    if to is None:
        print(content, end="")  # noqa: T201 - the command's output
    else:
        to.write_text(content, encoding="utf-8")


def model_import(
    file: ModelFile,
    tenant: TenantSlug,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing: say what would become of it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take in a building model. What the file does not name stays; the same file again changes nothing."""
    from insula_platform.brick.schemas import ModelImport
    from insula_platform.brick.service import import_model
    from insula_platform.onboarding import opened
    from insula_tenants.brick.apart import read_apart

    form = _form(file)
    with opened(tenant) as desk:
        reading = read_apart(_content(file), form)
        imported = import_model(
            desk.databases, desk.context, reading, form, dry_run=dry_run, actor=acting_operator()
        )
    if as_json:
        print_json(ModelImport.of(imported, dry_run=dry_run).model_dump(mode="json"))
        return
    console = Console()
    _print_problems(console, imported.problems)
    outcome = imported.outcome
    for word, counts in (
        ("created", outcome.created),
        ("updated", outcome.updated),
        ("unchanged", outcome.unchanged),
    ):
        told = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "nothing"
        console.print(f"{word}: {told}", highlight=False)
    if dry_run:
        console.print("nothing was changed")


def model_validate(
    file: ModelFile,
    shapes: Annotated[
        bool,
        typer.Option(
            "--shapes", help="Check the ontology's shapes (SHACL) too: half a minute for 1 700 things."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what of a file a model can hold. The exit code is 1 when something cannot be held as it is.

    Each class and each relationship is checked against the Brick ontology. With `--shapes` pyshacl checks
    the shapes that Brick has for them as well.
    """
    from insula_tenants.brick.apart import read_file

    form = _form(file)
    content = _content(file)
    reading = read_file(content, form)
    problems = list(reading.problems)
    if shapes:
        problems += _shape_problems(content, form)
    if as_json:
        print_json(
            {
                "things": _count(reading.document),
                "problems": [
                    {"thing": one.key, "field": one.field, "detail": one.detail} for one in problems
                ],
            }
        )
    else:
        console = Console()
        _print_problems(console, problems)
        told = ", ".join(f"{number} {kind}" for kind, number in _count(reading.document).items())
        console.print(f"{told}; {len(problems)} problems", highlight=False)
    if problems:
        raise typer.Exit(1)


def _shape_problems(content: bytes, form: FileFormat) -> tuple[Problem, ...]:
    from insula_tenants.brick.files import read_graph
    from insula_tenants.brick.shapes import check_shapes

    if form == "haystack":
        raise InvalidInput("shapes", "the shapes are Brick's: give a .ttl or .jsonld file")
    with Console(stderr=True).status("checking the ontology's shapes"):
        return check_shapes(read_graph(content, form))


def _form(file: Path) -> FileFormat:
    form = _FORMS.get(file.suffix.lower())
    if form is None:
        raise InvalidInput("file", f"{file} is of no kind that is known: name it {', '.join(_FORMS)}")
    return form


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput("file", f"{file} cannot be read: {error.strerror}") from None


def _count(document: ModelDocument) -> dict[str, int]:
    return {kind: len(getattr(document, kind)) for kind in document.__slots__}


def _print_problems(console: Console, problems: Iterable[Problem]) -> None:
    told = list(problems)
    if not told:
        return
    table = Table(Column("Thing", overflow="fold"), "Field", "What became of it")
    for one in told[:_SHOWN]:
        table.add_row(escape(one.key), escape(one.field), escape(one.detail))
    console.print(table)
    if len(told) > _SHOWN:
        console.print(f"and {len(told) - _SHOWN} more: --json tells all", highlight=False)
