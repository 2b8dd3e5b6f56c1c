"""The server: Streamlit behind the gate, with the sign-in routes beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
import structlog
from joserfc.jwk import OctKey
from starlette.middleware import Middleware

from insula_analytics_ui.backend import Backend
from insula_analytics_ui.files import Files
from insula_analytics_ui.gate import Gate
from insula_analytics_ui.settings import UiSettings
from insula_analytics_ui.sign_in import SignIn
from insula_analytics_ui.theme import theme_options
from insula_analytics_ui.words import _

_log = structlog.get_logger(__name__)


def create_app(backend: Backend) -> st.App:
    """The ASGI application. A process can hold one, for Streamlit's runtime is one to a process."""

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        yield
        backend.http.close()

    sign_in = SignIn(backend.settings, backend.provider, backend.sessions, OctKey.generate_key(256))
    return st.App(
        Path(__file__).with_name("script.py"),
        routes=[*sign_in.routes(), *Files(backend).routes()],
        middleware=[Middleware(Gate, settings=backend.settings, sessions=backend.sessions)],
        lifespan=lifespan,
        on_script_error=_say_sorry,
    )


def options(settings: UiSettings, *, address: str, port: int) -> dict[str, object]:
    """Streamlit's options: headless, silent towards the outside, without a developer's tools."""
    public = urlsplit(settings.ui_url)
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "server.enableXsrfProtection": True,
        "server.maxUploadSize": 1,
        "server.showEmailPrompt": False,
        "browser.serverAddress": public.hostname,
        "browser.serverPort": public.port or (443 if public.scheme == "https" else 80),
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.allowedOrigins": [settings.ui_url],
        "logger.hideWelcomeMessage": True,
        "runner.magicEnabled": False,
        **theme_options(),
    }


def _say_sorry(error: Exception) -> bool:
    """Log what went wrong, and show a sentence in its place."""
    _log.error("a page failed", exc_info=error)
    st.error(_("This page failed, and the failure was recorded. Reload it, or go to another page."))
    return True
