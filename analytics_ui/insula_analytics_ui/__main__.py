"""Start the analytics UI: `python -m insula_analytics_ui --port 8501`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import ValidationError


def main(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the analytics UI, set up by INSULA_PLATFORM_URL, INSULA_UI_URL, INSULA_UI_CLIENT_SECRET."""
    from insula_analytics_ui.backend import backend

    try:
        here = backend()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "INSULA_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{name}: {problem['msg']}", file=sys.stderr)  # noqa: T201 # before there is a log
        raise typer.Exit(2) from None

    from insula_analytics_ui.server import create_app, options

    create_app(here).run(config=options(here.settings, address=address, port=port))


if __name__ == "__main__":
    typer.run(main)
