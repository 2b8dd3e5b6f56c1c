"""The command `insula replay`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from insula_ingest.device import options as mqtt
from insula_ingest.replay.rows import ReplayError
from insula_ingest.replay.sending import ReplayReport, ReplayStoppedError, replay

command = typer.Typer(add_completion=False)
"""One command, `replay`; the platform's command line takes it in by the entry point `insula.commands`."""

EXIT_SKIPPED = 1
EXIT_UNUSABLE = 2


@command.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(help="CSV file with a header, UTF-8.")],
    *,
    tenant: mqtt.TenantName,
    device: mqtt.DeviceName,
    time_column: Annotated[str, typer.Option(help="Column that holds the time.")],
    points: Annotated[str, typer.Option(help="Columns to send, separated by commas.")],
    time_zone: Annotated[
        str | None, typer.Option(help="IANA zone of times without an offset, such as Europe/Brussels.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=POINT", help="Another name for a point; repeatable.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds of the file in one second. Else as fast as it goes."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Records in one message.")] = 1,
    host: mqtt.Host = "127.0.0.1",
    port: mqtt.Port = 1883,
    tls: mqtt.Tls = False,
    protocol: mqtt.MqttVersion = "5",
    password_file: mqtt.PasswordFile = None,
) -> None:
    """Send a CSV file of past readings to the broker, as its device would have.

    A local time that the clock showed twice counts as the first; one that it never showed, as the clocks
    had been put forward, makes its row no record. If a logger kept winter time all year, name a zone that
    does, such as Etc/GMT-1. Rows that are no record are skipped and told with their line and reason.

    Exit status: 0 all rows sent and acknowledged; 1 the same, but rows were skipped; 2 file or arguments
    cannot be used; 3 the broker refused, or did not acknowledge, something.
    """
    names = _renames(rename or [])
    connection = mqtt.make_device(
        tenant,
        device,
        host=host,
        port=port,
        tls=tls,
        protocol=protocol,
        password_file=password_file,
    )
    errors = Console(stderr=True)
    started = time.monotonic()
    with mqtt.device_errors(), _progress(errors) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size if file.is_file() else None, rate="")

        def show(position: int, report: ReplayReport) -> None:
            if report.rows % 100 == 0 or position == progress.tasks[task].total:
                rate = f"{report.rows / (time.monotonic() - started):,.0f} rows/s"
                progress.update(task, completed=position, rate=rate)

        try:
            with connection:
                report = replay(
                    file,
                    connection,
                    time_column=time_column,
                    time_zone=time_zone,
                    points=[name.strip() for name in points.split(",") if name.strip()],
                    rename=names,
                    speed=speed,
                    batch=batch,
                    on_row=show,
                )
        except ReplayStoppedError as error:
            progress.stop()
            _tell_skipped(errors, error.report)
            typer.echo(f"Error: {error}.", err=True)
            raise typer.Exit(mqtt.EXIT_DEVICE) from None
        except ReplayError as error:
            progress.stop()
            typer.echo(f"Error: {error}.", err=True)
            raise typer.Exit(EXIT_UNUSABLE) from None
    _tell_skipped(errors, report)
    _tell(report, time.monotonic() - started)
    if report.skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _renames(options: list[str]) -> dict[str, str]:
    names = {}
    for option in options:
        column, equals, point = option.partition("=")
        if not (column and equals and point):
            raise typer.BadParameter(f"--rename takes COLUMN=POINT, not {option!r}")
        names[column.strip()] = point.strip()
    return names


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _tell_skipped(console: Console, report: ReplayReport) -> None:
    for line, reason in report.skipped:
        console.print(f"line {line} skipped: {reason}", markup=False, highlight=False, soft_wrap=True)


def _tell(report: ReplayReport, seconds: float) -> None:
    typer.echo(
        f"{report.rows} rows read, {len(report.skipped)} skipped; {report.values} values sent and "
        f"acknowledged in {report.messages} messages, {seconds:.1f} s."
    )
    if report.ambiguous:
        typer.echo(f"{report.ambiguous} rows had a local time that occurred twice: the first was taken.")
