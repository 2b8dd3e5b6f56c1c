"""What the check of a token costs: the same route with and without it, in one process, in turn.

"Without" is not "without anything": the same handler behind the same statement on the registry, which
resolves the tenant and its bearer at each request, the same count of requests and the same metering. Only the
token is neither read nor verified: who asks is written into the route. What is left is what a token costs.

Beside it stands what each request would cost if its signature were verified anew, which the platform does for
a token that it has not seen before, and what an API key costs, which has no signature.

    python -m benchmarks.token_check            # 1 500 requests of each kind
    python -m benchmarks.token_check --long     # 10 000
"""

from __future__ import annotations

import argparse
import secrets
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI, Request
from rich.console import Console
from rich.table import Table

from benchmarks.deployment import Deployment, fresh, record, server
from insula_platform.access import Access, Requires, requests
from insula_platform.access.keys import new_key
from insula_platform.api_keys.models import ApiKey
from insula_platform.app import create_app
from insula_platform.oauth.clients import create_service_client
from insula_platform.oauth.models import fingerprint
from insula_platform.oauth.tokens import AccessToken
from insula_platform.people import Account, add_member
from insula_platform.settings import PlatformSettings
from insula_platform.state import CurrentPlatform
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.quotas import Quotas
from insula_tenants.registry import Program, resolve_tenant_async

LIMIT = 1.15
"""A verified request over the same one without a token check, at most."""
SLUG = "bench"
ROUTE = "/api/v1/tenants/{tenant}/bench"


def add_routes(app: FastAPI, client_id: str) -> None:
    """One handler, behind three doors."""

    async def unchecked(request: Request, platform: CurrentPlatform, tenant: str) -> Access:
        """All that `Requires` does, the token apart."""
        bearer = Program(client_id, "a token's id")
        platform.rate_limiter.refuse_exhausted(tenant, request.scope)
        async with platform.async_databases.core() as connection:
            found = await resolve_tenant_async(connection, tenant, bearer)
        granted = frozenset({"readings:read"})
        says = AccessToken(client_id, client_id, tenant, granted, 2e9, "a token's id", None, "a key's id")
        access = requests._shown(request, found, bearer, says, ("readings:read",))
        quota = Quotas.of(*found.limits).api_requests_per_minute
        await platform.rate_limiter.count(tenant, quota, request.scope)
        platform.meter.count(found.context.id)
        return access

    async def forget(platform: CurrentPlatform) -> None:
        platform.verified._found.clear()

    @app.get(f"{ROUTE}/checked")
    async def checked(access: Annotated[Access, Requires("readings:read")]) -> dict[str, str]:
        return {"tenant": access.context.slug}

    @app.get(f"{ROUTE}/verified-anew", dependencies=[Depends(forget)])
    async def anew(access: Annotated[Access, Requires("readings:read")]) -> dict[str, str]:
        return {"tenant": access.context.slug}

    @app.get(f"{ROUTE}/unchecked")
    async def without(access: Access = Depends(unchecked)) -> dict[str, str]:  # noqa: B008
        return {"tenant": access.context.slug}


def make_credentials(databases: Databases, tenant: TenantContext) -> tuple[tuple[str, str], str]:
    """A service client, and an API key of a member."""
    key = new_key()
    with databases.core() as core:
        client = create_service_client(core, tenant, "bench", "readings:read")
        account = Account(email="bench@example.com", name="Bench")
        core.add(account)
        core.flush()
        add_member(core, account, tenant, "viewer")
        row = ApiKey(
            tenant_id=tenant.id,
            account_id=account.id,
            name="bench",
            key_hash=fingerprint(key),
            hint=key[:8],
            scope="readings:read",
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )
        core.add(row)
    return client, key


@contextmanager
def running(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """The application, served by a thread of this process."""
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not serving.started:
            time.sleep(0.01)
        yield
    finally:
        serving.should_exit = True
        thread.join(20)


def in_turn(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, one after the other: what else the machine does is then the same for all."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            took[name].append((time.perf_counter() - started) * 1000)
    return took


def measure(made: Deployment, rounds: int) -> dict[str, Any]:
    """Medians, in milliseconds, and their ratios."""
    [tenant] = made.create_tenants(SLUG)
    databases = Databases({"main": made.service_url}, pool_size=1)
    client, key = make_credentials(databases, tenant)
    databases.close()
    # Naming the protocol lets asyncio turn off Nagle's delay, which would hide everything else.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url, secret_key=secrets.token_hex(32), database_url=made.service_url
        )
        app = create_app(settings)
        add_routes(app, client[0])
        with running(app, listener), httpx.Client(base_url=url, timeout=60) as http:
            form = {"grant_type": "client_credentials"}
            token = http.post("/oauth/token", data=form, auth=client).json()["access_token"]

            def asking(door: str, bearer: str) -> Callable[[], None]:
                path, headers = f"/api/v1/tenants/{SLUG}/bench/{door}", {"Authorization": f"Bearer {bearer}"}

                def ask() -> None:
                    http.get(path, headers=headers).raise_for_status()

                return ask

            works = {
                "without a token check": asking("unchecked", token),
                "with it": asking("checked", token),
                "with its signature verified anew": asking("verified-anew", token),
                "with an API key": asking("checked", key),
            }
            in_turn(works, rounds // 10)
            took = in_turn(works, rounds)
    medians = {name: statistics.median(times) for name, times in took.items()}
    base = medians["without a token check"]
    return {
        name: {"median, ms": median, "ratio": median / base, "requests": rounds}
        for name, median in medians.items()
    }


def show(console: Console, engine: str, results: dict[str, Any]) -> None:
    """A row a door."""
    table = Table(title=f"{engine}: a request through HTTP")
    for column in ("", "median, ms", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    for name, found in results.items():
        table.add_row(name, f"{found['median, ms']:.2f}", f"{found['ratio']:.2f}")
    console.print(table)
    ratio = results["with it"]["ratio"]
    verdict = "within" if ratio <= LIMIT else "OVER"
    console.print(f"with a token check: {ratio:.2f}, {verdict} the limit of {LIMIT}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="10 000 requests of each kind")
    rounds = 10_000 if parser.parse_args(arguments).long else 1_500
    console = Console()
    with server() as url, fresh(url) as made, console.status("asking"):
        results = measure(made, rounds)
        engine = made.engine
    show(console, engine, results)
    record("token_check", engine, results)


if __name__ == "__main__":
    sys.exit(main())
