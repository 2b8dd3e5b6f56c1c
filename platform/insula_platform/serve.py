"""Serve the API, the OAuth provider and the sign-in pages."""

from __future__ import annotations

import uvicorn

from insula_platform.app import create_app
from insula_platform.logs import configure_logging
from insula_platform.settings import PlatformSettings


def run() -> None:
    """Serve until SIGTERM or Ctrl-C; requests at hand are finished first."""
    configure_logging()
    settings = PlatformSettings()
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
