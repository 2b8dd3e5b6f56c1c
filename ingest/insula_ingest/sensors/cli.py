"""The command `insula-sensor`."""

from __future__ import annotations

import typer

from insula_ingest.sensors import air, door, light, meter, presence, rooms, temperature, weather

app = typer.Typer(
    help="Sensors that need no hardware. They end with status 0 on Ctrl-C, 2 on wrong arguments, and 3 when "
    "the broker refuses them or has not acknowledged all at the end.",
    no_args_is_help=True,
    add_completion=False,
)
for name, program in (
    ("temperature", temperature.main),
    ("light", light.main),
    ("presence", presence.main),
    ("door", door.main),
    ("air", air.main),
    ("weather", weather.main),
    ("meter", meter.main),
    ("rooms", rooms.main),
):
    app.command(name)(program)


def main() -> None:
    """Run the command line."""
    app()
