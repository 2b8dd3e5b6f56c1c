"""The platform's application: every router, every middleware, and what a running process holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from insula_platform import problems
from insula_platform.account import guard
from insula_platform.account.routes import router as account
from insula_platform.analytics.comfort.routes import router as comfort
from insula_platform.analytics.energy.meter_routes import router as meters
from insula_platform.analytics.energy.routes import router as energy
from insula_platform.analytics.energy.tariff_routes import router as tariffs
from insula_platform.analytics.forecasts.routes import router as forecasts
from insula_platform.analytics.occupancy.routes import router as occupancy
from insula_platform.analytics.quality.routes import router as data_quality
from insula_platform.analytics.turns import Turns
from insula_platform.api_keys.routes import router as api_keys
from insula_platform.audit.routes import router as audit
from insula_platform.backfill.routes import router as backfill
from insula_platform.backfill.uploads import Uploads
from insula_platform.broker.callbacks import callback_routes
from insula_platform.broker.decisions import Decisions
from insula_platform.broker.device_logins import DeviceLogins
from insula_platform.building_model.routes import router as building_model
from insula_platform.bundles.routes import router as bundles
from insula_platform.certificates.routes import lists as certificate_lists
from insula_platform.certificates.routes import router as certificates
from insula_platform.clients.routes import router as clients
from insula_platform.commands.routes import router as commands
from insula_platform.consents.pages import router as consents
from insula_platform.dead_letters.routes import router as dead_letters
from insula_platform.device_imports.routes import router as device_imports
from insula_platform.devices.credential_routes import router as credentials
from insula_platform.devices.point_routes import router as points
from insula_platform.devices.routes import router as devices
from insula_platform.devices.type_routes import router as device_types
from insula_platform.diagnostics.refusals import RefusalBook
from insula_platform.diagnostics.routes import router as diagnostics
from insula_platform.enrolment.claim_routes import public as claiming
from insula_platform.enrolment.claim_routes import router as claim_batches
from insula_platform.enrolment.enrolment_routes import public as announcing
from insula_platform.enrolment.enrolment_routes import router as enrolments
from insula_platform.enrolment.key_routes import router as provisioning_keys
from insula_platform.federation.pages import router as federation_pages
from insula_platform.federation.routes import router as federation_routes
from insula_platform.federation.state import federation
from insula_platform.invitations.routes import router as invitations
from insula_platform.link import BrokerLink
from insula_platform.live.hub import LiveHub
from insula_platform.live.routes import router as live
from insula_platform.logs import RequestLog, keep_secrets_out
from insula_platform.members.invitation_routes import router as invitations_api
from insula_platform.members.routes import router as members
from insula_platform.metering import Meter
from insula_platform.oauth.clients import ensure_cli_client, ensure_ui_client
from insula_platform.oauth.device_pages import router as device_pages
from insula_platform.oauth.keys import SigningKeys
from insula_platform.oauth.pages import router as oauth_pages
from insula_platform.oauth.routes import router as oauth_routes
from insula_platform.oauth.verified import VerifiedTokens
from insula_platform.operator.quota_routes import router as operator_quotas
from insula_platform.operator.routes import router as operator
from insula_platform.presence.routes import router as presence
from insula_platform.rate_limit import RateLimiter, RateLimitFields, document_fields
from insula_platform.readings.routes import router as readings
from insula_platform.reference.routes import STATIC as REFERENCE_STATIC
from insula_platform.reference.routes import router as reference
from insula_platform.scim.routes import router as scim
from insula_platform.settings import PlatformSettings
from insula_platform.signin.pages import STATIC
from insula_platform.signin.reset import router as reset
from insula_platform.signin.routes import router as signin_routes
from insula_platform.signin.second import router as second_factor
from insula_platform.signin.throttle import Throttle
from insula_platform.state import CurrentPlatform, Platform
from insula_platform.storage.routes import router as storage
from insula_platform.twins.routes import router as twins
from insula_platform.usage.routes import router as usage
from insula_tenants.administration import Administration
from insula_tenants.broker import broker_access
from insula_tenants.broker.refusals import Refusals
from insula_tenants.database import AsyncDatabases, Databases
from insula_tenants.errors import InsulaError

DESCRIPTION = """\
The API of a multitenant platform for smart buildings.

Every path names its tenant, and an access token is good for one tenant. Errors are RFC 9457 problem details.
Times are RFC 3339, intervals half-open. A tenant's requests are limited by the minute: `RateLimit` says how
many remain.
"""

READY_TIMEOUT = 2.0
"""Seconds the database has to answer before the platform calls itself not ready."""


class NotReady(InsulaError):
    """The platform cannot serve at the moment."""

    status = 503
    type = "not-ready"


class Health(BaseModel):
    """The state of the process."""

    status: str


def create_app(settings: PlatformSettings) -> FastAPI:
    """The application. It opens its databases when it starts serving; `app.state.platform` holds them."""
    keep_secrets_out()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        urls = settings.service_urls()
        databases = Databases(urls, pool_size=settings.database_pool_size, application_name="insula-platform")
        async_databases = AsyncDatabases(
            urls, pool_size=settings.database_pool_size, application_name="insula-platform-reads"
        )
        with databases.core() as core:
            ensure_cli_client(core)
            if settings.ui_client_secret is not None:
                ensure_ui_client(core, settings)
        administration = Administration(settings.admin_urls()) if settings.database_admin_url else None
        link = BrokerLink(settings) if settings.live_mqtt_password is not None else None
        hub = LiveHub(async_databases, link, most=settings.live_streams_per_tenant)
        meter = Meter(databases)
        refusals = Refusals()
        refusal_book = RefusalBook(databases, refusals)
        await async_databases.open()
        app.state.platform = Platform(
            settings=settings,
            databases=databases,
            async_databases=async_databases,
            signing_keys=SigningKeys(databases, settings.secret_key),
            verified=VerifiedTokens(),
            throttle=Throttle(),
            administration=administration,
            broker=broker_access(settings),
            link=link,
            live=hub,
            rate_limiter=RateLimiter(),
            meter=meter,
            uploads=Uploads(),
            turns=Turns(),
            federation=federation(settings),
            refusals=refusals,
        )
        _answer_the_broker(app, settings, databases, refusals)
        hub.start()
        if link is not None:
            link.start()
        keeping = asyncio.create_task(hub.keep(), name="live")
        metering = asyncio.create_task(meter.keep(), name="metering")
        writing = asyncio.create_task(refusal_book.keep(), name="refusals")
        try:
            yield
        finally:
            keeping.cancel()
            await hub.close()
            if link is not None:
                await asyncio.to_thread(link.stop)
            meter.stop()
            await metering
            refusal_book.stop()
            await writing
            await async_databases.close()
            databases.close()
            app.state.platform.federation.close()
            if administration is not None:
                administration.close()

    app = FastAPI(
        title="Insula",
        description=DESCRIPTION,
        version=version("insula"),
        lifespan=lifespan,
        # FastAPI's own pages load scripts from a content delivery network.
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    guard.install(app)
    include_routers(app)
    include_analytics(app)
    app.add_middleware(RateLimitFields)
    app.add_middleware(RequestLog)
    describe(app)
    return app


def _answer_the_broker(
    app: FastAPI, settings: PlatformSettings, databases: Databases, refusals: Refusals
) -> None:
    """The routes of a broker that asks over HTTP, where there is one."""
    if settings.broker_callback_secret is not None:
        decisions = Decisions(DeviceLogins(databases), settings.broker_services, refusals)
        app.include_router(callback_routes(decisions, settings.broker_callback_secret))


def include_routers(app: FastAPI) -> None:
    """Every route of the platform, in one place."""
    app.include_router(oauth_routes)
    app.include_router(oauth_pages)
    app.include_router(device_pages)
    app.include_router(signin_routes)
    app.include_router(federation_pages)
    app.include_router(second_factor)
    app.include_router(reset)
    app.include_router(account)
    app.include_router(invitations)
    app.include_router(consents)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.include_router(reference)
    app.mount("/docs/static", StaticFiles(directory=REFERENCE_STATIC))
    app.include_router(building_model)
    app.include_router(devices)
    app.include_router(certificates)
    app.include_router(certificate_lists)
    app.include_router(points)
    app.include_router(credentials)
    app.include_router(device_types)
    app.include_router(device_imports)
    app.include_router(claiming)
    app.include_router(claim_batches)
    app.include_router(announcing)
    app.include_router(enrolments)
    app.include_router(provisioning_keys)
    app.include_router(twins)
    app.include_router(commands)
    app.include_router(presence)
    app.include_router(diagnostics)
    app.include_router(readings)
    app.include_router(backfill)
    app.include_router(live)
    app.include_router(dead_letters)
    app.include_router(federation_routes)
    app.include_router(scim)
    app.include_router(clients)
    app.include_router(members)
    app.include_router(invitations_api)
    app.include_router(api_keys)
    app.include_router(audit)
    app.include_router(usage)
    app.include_router(operator)
    app.include_router(operator_quotas)
    app.include_router(bundles)
    app.include_router(storage)
    app.add_api_route("/", home, include_in_schema=False)
    app.add_api_route("/healthz", healthz, tags=["Operation"])
    app.add_api_route("/readyz", readyz, tags=["Operation"], responses=problems.problem_responses(503))


def include_analytics(app: FastAPI) -> None:
    """Every route of analytics."""
    app.include_router(comfort)
    app.include_router(occupancy)
    app.include_router(data_quality)
    app.include_router(forecasts)
    app.include_router(energy)
    app.include_router(meters)
    app.include_router(tariffs)


def describe(app: FastAPI) -> None:
    """Make `/openapi.json` show problem details where FastAPI would show its own error format."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            problems.add_schema(app.openapi_schema)
            document_fields(app.openapi_schema)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # the way FastAPI documents


async def home(platform: CurrentPlatform) -> RedirectResponse:
    """Who types the platform's bare address is looking for the rooms."""
    return RedirectResponse(platform.settings.ui_url, 303)


async def healthz() -> Health:
    """Whether the process lives."""
    return Health(status="alive")


async def readyz(platform: CurrentPlatform) -> Health:
    """Whether the process can serve: its database answers."""
    try:
        async with asyncio.timeout(READY_TIMEOUT), platform.async_databases.core() as connection:
            await connection.execute("SELECT 1")
    except (TimeoutError, psycopg.Error):
        raise NotReady("the database does not answer") from None
    return Health(status="ready")
