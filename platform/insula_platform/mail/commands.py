"""`insula mail …`: the outbox, for the operator."""

from __future__ import annotations

import json
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

mail = typer.Typer(help="Letters to people: what waits, was sent, or failed.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@mail.command(name="list")
def mail_list(
    most: Annotated[int, typer.Option("--limit", min=1, help="How many to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List letters, newest first. What they say is not shown."""
    from insula_platform.mail.outbox import recent_letters
    from insula_platform.operator.commands import open_databases

    with open_databases() as databases, databases.core() as core:
        letters = [
            {
                "id": str(letter.id),
                "to": letter.recipient,
                "subject": letter.subject,
                "state": letter.state,
                "attempts": letter.attempts,
                "created_at": letter.created_at.isoformat(timespec="seconds"),
                "error": letter.error,
            }
            for letter in recent_letters(core, most)
        ]
    if as_json:
        print(json.dumps(letters))  # noqa: T201 - the command's output
        return
    table = Table("Id", "To", "Subject", "State", "Tries", "Written", "Error")
    for letter in letters:
        table.add_row(*(escape(str(value or "")) for value in letter.values()))
    Console().print(table)


@mail.command(name="show")
def mail_show(
    letter_id: Annotated[UUID, typer.Argument(metavar="ID", help="The letter's id.")],
    as_json: AsJson = False,
) -> None:
    """Show a letter that waits, to hand it over by other means. The audit log notes that it was read."""
    from insula_platform.mail.outbox import read_letter
    from insula_platform.operator.commands import acting_operator, open_databases

    with open_databases() as databases, databases.core() as core:
        letter = read_letter(core, letter_id, actor=acting_operator())
        told = {"to": letter.recipient, "subject": letter.subject, "state": letter.state, "text": letter.body}
    if as_json:
        print(json.dumps(told))  # noqa: T201 - the command's output
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"To: {told['to']}\nSubject: {told['subject']}\n")
    console.print(told["text"] or f"It is {told['state']}, and its text is no longer kept.")
