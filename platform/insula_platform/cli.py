"""`insula`: the platform's command line."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from insula_platform.broker.commands import broker
from insula_platform.building_model.commands import model
from insula_platform.bundles.commands import add_bundle_commands
from insula_platform.clients.commands import client
from insula_platform.device_imports.commands import add_import_commands
from insula_platform.devices.commands import device
from insula_platform.enrolment.commands import add_enrolment_commands
from insula_platform.login.commands import add_login_commands
from insula_platform.mail.commands import mail
from insula_platform.oauth.commands import keys
from insula_platform.operator.commands import operator, tenant
from insula_platform.operator.quota_commands import add_quota_commands, plan
from insula_platform.storage.commands import storage
from insula_tenants.errors import ConfigurationError, InsulaError

app = typer.Typer(
    name="insula",
    help="A multitenant platform for smart buildings.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
serve = typer.Typer(help="Run one of the services in the foreground.", no_args_is_help=True)
app.add_typer(serve, name="serve")
app.add_typer(tenant, name="tenant")
app.add_typer(operator, name="operator")
app.add_typer(client, name="client")
app.add_typer(plan, name="plan")
app.add_typer(device, name="device")
app.add_typer(model, name="model")
app.add_typer(broker, name="broker")
app.add_typer(storage, name="storage")
app.add_typer(mail, name="mail")
app.add_typer(keys, name="keys")
add_login_commands(app)
add_bundle_commands(tenant)
add_import_commands(device)
add_enrolment_commands(device)
add_quota_commands(tenant)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """Run the command line; errors of ours end it with one line and exit code 1."""
    for command in entry_points(group="insula.commands"):
        loaded = command.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded)
        else:
            app.command(command.name)(loaded)
    try:
        app()
    except InsulaError as error:
        Console(stderr=True).print(f"[red]insula:[/] {error.detail}", highlight=False)
        sys.exit(1)


@app.command()
def demo(
    state_dir: Annotated[
        Path, typer.Option(help="Where data, secrets and logs stay from one run to the next.")
    ] = Path("var/demo"),
) -> None:
    """Run the whole platform on this machine: two tenants, their buildings, their sensors."""
    from insula_platform.demo.run import Demo

    Demo(state_dir, Console()).run()


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the databases and every tenant to this release's schema. Safe to repeat.

    A tenant that fails is named and leaves the others alone; the exit code is then 1.
    """
    from sqlalchemy.exc import OperationalError

    from insula_tenants.migrate import first_line
    from insula_tenants.migrate import migrate as run
    from insula_tenants.settings import TenantsSettings

    settings = TenantsSettings()
    bar = Progress(
        TextColumn("tenants"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=as_json,
    )
    with bar:
        task = bar.add_task("tenants", total=None)
        try:
            report = run(
                settings.admin_urls(),
                settings.service_urls(),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except OperationalError as error:
            raise ConfigurationError(f"the database cannot be migrated: {first_line(error)}") from None
    if as_json:
        print(json.dumps({"core": report.core_version, **asdict(report)}))  # noqa: T201 - the command's output
    else:
        console = Console()
        console.print(f"core at {report.core_version} on {report.engine} {report.engine_version}")
        console.print(
            f"{len(report.migrated)} tenants at this release, {len(report.upgraded)} of them by this run; "
            f"{len(report.failed)} failed"
        )
        for slug, reason in report.failed.items():
            console.print(f"[red]{slug}[/]: {escape(reason)}")
    if report.failed:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say what this installation stands on, and what is wrong with it."""
    from insula_platform.doctor import examine

    console = Console()
    well = True
    for finding in examine():
        well = well and finding.well
        console.print(f"{'[green]✓[/]' if finding.well else '[red]✗[/]'} {finding.what}: {finding.says}")
    if not well:
        raise typer.Exit(1)


@app.command(name="version")
def show_version() -> None:
    """Print the version."""
    Console().print(version("insula"))


@serve.command(name="api")
def serve_api() -> None:
    """The API, the OAuth provider and the sign-in pages."""
    from insula_platform.serve import run

    run()


@serve.command(name="worker")
def serve_worker() -> None:
    """The scheduler and its jobs."""
    from insula_platform.logs import configure_logging
    from insula_platform.settings import PlatformSettings
    from insula_platform.worker.app import run

    configure_logging()
    run(PlatformSettings())


@serve.command(name="ingest")
def serve_ingest() -> None:
    """The ingest service."""
    _become("insula_ingest")


@serve.command(name="renewal")
def serve_renewal() -> None:
    """Renewal of devices' certificates, over TLS with client certificates."""
    from insula_platform.renewal.serve import run

    run()


@serve.command(name="broker-trust")
def serve_broker_trust(
    directory: Annotated[Path, typer.Option(help="Where Mosquitto reads authorities.pem and revoked.pem.")],
    pid_file: Annotated[Path, typer.Option(help="Mosquitto's pid_file.")],
) -> None:
    """Beside a Mosquitto that takes certificates: keep what it trusts in step with the registry."""
    import signal
    import threading

    from insula_platform.broker.trust import keep
    from insula_platform.logs import configure_logging
    from insula_platform.settings import PlatformSettings

    configure_logging()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    keep(PlatformSettings(), directory, pid_file, stopping)


@serve.command(name="ui")
def serve_ui(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501) -> None:
    """The analytics UI."""
    _become("insula_analytics_ui", "--port", str(port))


def _become(module: str, *arguments: str) -> None:
    """Turn this process into another package's: no package is imported just to start it."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own module
