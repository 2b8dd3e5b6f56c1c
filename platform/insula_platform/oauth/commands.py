"""`insula keys …`: the keys that sign tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from insula_platform.operator.commands import AsJson, acting_operator, open_databases, print_json

keys = typer.Typer(help="The keys that sign tokens.", no_args_is_help=True)


@keys.command(name="list")
def keys_list(as_json: AsJson = False) -> None:
    """List the keys that are published: the one that signs, the one to come, and those that did."""
    from insula_platform.oauth.rotation import list_keys
    from insula_platform.settings import PlatformSettings

    overlap = timedelta(seconds=PlatformSettings().key_overlap)
    with open_databases() as databases, databases.core() as core:
        views = list_keys(core, overlap)
    if as_json:
        print_json([view._asdict() for view in views])
        return
    table = Table("Key", "State", "Signs from", "Until", "Retired from", box=SIMPLE_HEAD, pad_edge=False)
    for view in views:
        times = (view.signs_from, view.signs_until, view.retired_from)
        table.add_row(view.kid, view.state, *map(_minute, times))
    Console().print(table)


@keys.command(name="rotate")
def keys_rotate(
    now: Annotated[
        bool, typer.Option("--now", help="Let it sign at once: for when the old key has leaked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a new key. It signs when everybody has had time to read it (INSULA_KEY_LEAD_TIME)."""
    from insula_platform.oauth.rotation import rotate
    from insula_platform.settings import PlatformSettings

    settings = PlatformSettings()
    lead = timedelta(0) if now else timedelta(seconds=settings.key_lead_time)
    with open_databases() as databases, databases.core() as core:
        kid = rotate(core, settings.secret_key, lead, actor=acting_operator())
    if as_json:
        print_json({"kid": kid})
        return
    when = "at once" if now else f"from {_minute(datetime.now(UTC) + lead)} UTC on"
    Console().print(f"the key {kid} is published and signs {when}", highlight=False)


@keys.command(name="retire")
def keys_retire(kid: Annotated[str, typer.Argument(help="The key's id.")], as_json: AsJson = False) -> None:
    """Take a key away before its time, because it has leaked: nothing it signed is believed any more.

    Otherwise the worker retires a key when its last token is gone.
    """
    from insula_platform.oauth.rotation import retire
    from insula_platform.settings import PlatformSettings

    overlap = timedelta(seconds=PlatformSettings().key_overlap)
    with open_databases() as databases, databases.core() as core:
        retire(core, kid, overlap, actor=acting_operator())
    if as_json:
        print_json({"kid": kid})
        return
    Console().print(f"the key {kid} is gone; no process believes it after two minutes", highlight=False)


def _minute(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time else ""
