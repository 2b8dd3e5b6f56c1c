"""`insula login`, `logout`, `whoami` and `api`: a person at a terminal, with the rights of their role."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console

from insula_tenants.errors import ConfigurationError, InsulaError, InvalidInput

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_login_commands(app: typer.Typer) -> None:
    """Register them on `insula` itself."""
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)
    app.command()(api)


def login(
    tenant: Annotated[str | None, typer.Option(help="The tenant to act in; else you choose.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The platform, if it is not that of INSULA_PUBLIC_URL.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="Ask for these scopes alone, space-separated; else for all.")
    ] = None,
) -> None:
    """Sign in to a platform. A browser, on this machine or another, takes the code that is shown.

    What is signed in before is signed out. The tokens are kept in a file that you alone can read.
    """
    from insula_platform.login.session import PlatformClient, renewed
    from insula_platform.login.store import locked, read_login, write_login

    console = Console()
    with PlatformClient(_platform_url(url)) as client:
        codes = client.begin(f"openid {scope}" if scope else None, tenant)
        # Whole on one line, however narrow the terminal: it is to be copied.
        console.print(f"Open {codes.verification_uri_complete}", soft_wrap=True, highlight=False)
        console.print(f"and compare the code: [bold]{codes.user_code}[/]", highlight=False)
        tokens = client.await_decision(codes)
        who = client.userinfo(tokens.access_token)
        with locked():
            with suppress(ConfigurationError):  # a damaged file is replaced
                before = read_login()
                if before is not None:
                    _revoke(before.url, before.refresh_token.get_secret_value())
            write_login(renewed(client.url, who["tenant"], tokens))
    console.print(f"signed in to {who['tenant_name']} ({who['tenant']}) as {who['role']}", highlight=False)
    if tenant is not None and who["tenant"] != tenant:
        console.print(f"in the browser another tenant was chosen than {tenant}", highlight=False)


def logout() -> None:
    """End the login, here and at the platform."""
    from insula_platform.login.store import forget_login, locked, read_login

    with locked():
        found = read_login()
        forget_login()
    if found is None:
        Console().print("you were not signed in")
        return
    if _revoke(found.url, found.refresh_token.get_secret_value()):
        Console().print(f"signed out of {found.url}", highlight=False)
    else:
        where = f"{found.url} did not answer"
        Console().print(f"{where}: the tokens are deleted here, and expire there", highlight=False)


def whoami(as_json: AsJson = False) -> None:
    """Say who is signed in, where, and as what."""
    from insula_platform.login.session import PlatformClient, current_login

    found = current_login()
    with PlatformClient(found.url) as client:
        who = client.userinfo(found.access_token.get_secret_value())
    told = {"platform": found.url} | {
        name: who[name] for name in ("tenant", "tenant_name", "role", "name", "email") if name in who
    }
    if as_json:
        print(json.dumps(told))  # noqa: T201 - the command's output
        return
    console = Console()
    for name, value in told.items():
        console.print(f"{name.replace('_', ' '):<12} {value}", highlight=False, markup=False)


def api(
    method: Annotated[str, typer.Argument(help="GET, POST, PATCH …")],
    path: Annotated[str, typer.Argument(help="Such as /api/v1/tenants/{tenant}/devices; {tenant} is yours.")],
    data: Annotated[str | None, typer.Option(help="A JSON body; - reads it from standard input.")] = None,
) -> None:
    """Call the API as the person who is signed in, and print its answer. The exit code is 1 for an error."""
    from insula_platform.login.session import PlatformClient, current_login

    if not path.startswith("/") or path.startswith("//"):
        raise InvalidInput("path", "begin the path with one /: the token is for your platform alone")
    body = sys.stdin.buffer.read() if data == "-" else data.encode() if data is not None else None
    found = current_login()
    with PlatformClient(found.url) as client:
        answer = client.call(
            method.upper(),
            path.replace("{tenant}", found.tenant),
            found.access_token.get_secret_value(),
            body,
        )
    out = sys.stdout if answer.is_success else sys.stderr
    out.buffer.write(answer.content)
    if answer.content and not answer.content.endswith(b"\n"):
        out.buffer.write(b"\n")
    out.flush()
    if not answer.is_success:
        raise typer.Exit(1)


def _platform_url(given: str | None) -> str:
    from pydantic import ValidationError

    from insula_platform.settings import AddressSettings

    try:
        return (AddressSettings(public_url=given) if given else AddressSettings()).public_url
    except ValidationError as error:
        raise InvalidInput("url", str(error.errors()[0]["msg"])) from None


def _revoke(url: str, refresh_token: str) -> bool:
    """End a login at its platform, if that answers."""
    from insula_platform.login.session import PlatformClient

    try:
        with PlatformClient(url) as client:
            client.revoke(refresh_token)
    except InsulaError:
        return False
    return True
