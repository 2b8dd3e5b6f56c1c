"""Serve renewal over TLS: a client without a certificate of a tenant's authority gets no answer at all."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import uvicorn
from sqlalchemy.exc import DBAPIError
from uvicorn.protocols.http.h11_impl import H11Protocol

from insula_platform.certificates.service import authorities_seal
from insula_platform.logs import configure_logging
from insula_platform.renewal.app import PEER, create_app
from insula_platform.settings import PlatformSettings
from insula_tenants.certificates import trusted
from insula_tenants.database import Databases
from insula_tenants.errors import ConfigurationError

log = logging.getLogger("insula.renewal")

LOOK_EVERY = 5.0
"""Seconds between two looks for new tenants."""


class KnowsItsPeer(H11Protocol):
    """uvicorn's protocol, which tells the application who the client is by its certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """The handshake is over: whoever gets here has shown a certificate."""
        super().connection_made(transport)
        connection: ssl.SSLObject = transport.get_extra_info("ssl_object")
        self.app_state: dict[str, Any] = {
            **self.app_state,
            PEER: connection.getpeercert(binary_form=True),
        }


class Renewal(uvicorn.Server):
    """Trusts the authorities of new tenants as they appear.

    One that was trusted stays so for TLS until the process ends; what is revoked, or of a closed tenant, the
    application refuses, which asks the registry each time.
    """

    def __init__(self, config: uvicorn.Config, settings: PlatformSettings, databases: Databases) -> None:
        """`config` has its certificate and key."""
        super().__init__(config)
        self._settings = settings
        self._databases = databases
        self._seal = authorities_seal(settings)
        self._known: set[str] = set()

    async def startup(self, sockets: Any = None) -> None:
        """Read the authorities before the first connection."""
        await self.look()
        await super().startup(sockets)
        self._looking = asyncio.create_task(self._keep_looking())

    async def shutdown(self, sockets: Any = None) -> None:
        """Take no more connections."""
        self._looking.cancel()
        await super().shutdown(sockets)

    async def look(self) -> None:
        """Trust the authorities that are new."""
        context = self.config.ssl
        assert context is not None  # noqa: S101 - it was configured with a certificate
        for certificate in await asyncio.to_thread(self._read):
            if certificate not in self._known:
                context.load_verify_locations(cadata=certificate)
                self._known.add(certificate)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except DBAPIError as error:
                log.warning("the registry does not tell of new tenants: %s", error.orig)

    def _read(self) -> list[str]:
        with self._databases.core() as core:
            return [one.certificate for one in trusted(core, self._seal)]


def make_server(settings: PlatformSettings, databases: Databases) -> Renewal:
    """The server, not started. Raises `ConfigurationError` when it has no certificate to show."""
    if settings.renewal_cert_file is None or settings.renewal_key_file is None:
        msg = "INSULA_RENEWAL_CERT_FILE and INSULA_RENEWAL_KEY_FILE are not set: renewal needs TLS"
        raise ConfigurationError(msg)
    config = uvicorn.Config(
        create_app(settings, databases),
        host=settings.renewal_host,
        port=settings.renewal_port,
        http=KnowsItsPeer,
        ws="none",
        lifespan="off",
        ssl_certfile=settings.renewal_cert_file,
        ssl_keyfile=settings.renewal_key_file,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    config.load()
    return Renewal(config, settings, databases)


def run() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    configure_logging()
    settings = PlatformSettings()
    databases = Databases(settings.service_urls(), pool_size=2, application_name="insula-renewal")
    try:
        make_server(settings, databases).run()
    finally:
        databases.close()
