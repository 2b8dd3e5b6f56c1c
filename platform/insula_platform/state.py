"""What a running platform holds: one frozen object, made by the application's lifespan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from insula_platform.analytics.turns import Turns
from insula_platform.backfill.uploads import Uploads
from insula_platform.federation.state import Federation
from insula_platform.link import BrokerLink
from insula_platform.live.hub import LiveHub
from insula_platform.metering import Meter
from insula_platform.oauth.keys import SigningKeys
from insula_platform.oauth.verified import VerifiedTokens
from insula_platform.rate_limit import RateLimiter
from insula_platform.settings import PlatformSettings
from insula_platform.signin.throttle import Throttle
from insula_tenants.administration import Administration
from insula_tenants.broker import BrokerAccess
from insula_tenants.broker.refusals import Refusals
from insula_tenants.database import AsyncDatabases, Databases


@dataclass(frozen=True, slots=True)
class Platform:
    """Settings, databases and keys of this process."""

    settings: PlatformSettings
    databases: Databases
    async_databases: AsyncDatabases
    signing_keys: SigningKeys
    verified: VerifiedTokens
    throttle: Throttle
    administration: Administration | None
    """Administrators' connections; None where this process may not make tenants."""
    broker: BrokerAccess
    link: BrokerLink | None
    """The API's own connection to the broker; None where it has no login there."""
    live: LiveHub
    rate_limiter: RateLimiter
    meter: Meter
    uploads: Uploads
    turns: Turns
    federation: Federation
    refusals: Refusals
    """What this process refused devices, as a broker that asks over HTTP; not yet written down."""


def _current(request: Request) -> Platform:
    platform = request.app.state.platform
    assert isinstance(platform, Platform)  # noqa: S101 - set by the lifespan
    return platform


CurrentPlatform = Annotated[Platform, Depends(_current)]
"""`platform: CurrentPlatform` in a route gives it the platform."""
