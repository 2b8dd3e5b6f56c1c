"""Serve the API, the OAuth provider and the sign-in pages."""

from __future__ import annotations

import socket
import threading

import uvicorn

from insula_platform.app import create_app
from insula_platform.logs import configure_logging
from insula_platform.settings import PlatformSettings
from insula_tenants.analytics.comfort.thermal import warm_up

WARM_UP_AFTER = 15.0
"""Seconds from the start until what takes its time to import is brought in: after the first requests, and
before somebody opens a page of comfort."""


def run() -> None:
    """Serve until SIGTERM or Ctrl-C; requests at hand are finished first."""
    configure_logging()
    settings = PlatformSettings()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    timer = threading.Timer(WARM_UP_AFTER, warm_up)
    timer.daemon = True
    timer.start()
    StreamsEnd(config).run()


class StreamsEnd(uvicorn.Server):
    """Waits for requests at hand, as uvicorn does; streams that would never end are told to."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and finish those at hand."""
        self.config.app.state.platform.live.end_all()  # type: ignore[union-attr] # our own application
        await super().shutdown(sockets)
