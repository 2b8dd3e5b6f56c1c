"""The gate in front of Streamlit: nothing behind it runs for a browser without a session.

Open to all are the sign-in routes, the health checks and Streamlit's own static files, which are the same for
everybody. Everything else, pages, media and the websocket that runs scripts, needs a session. A websocket
is asked again with each message it sends, so a session that ends stops its open pages as well.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from insula_analytics_ui.cookies import cookie_value, session_cookie
from insula_analytics_ui.sessions import Session, SessionStore
from insula_analytics_ui.settings import UiSettings
from insula_analytics_ui.words import _, preferred, speaking

OPEN_PATHS = frozenset(
    {
        "/_stcore/health",
        "/_stcore/host-config",
        "/auth/callback",
        "/auth/login",
        "/auth/logout",
        "/favicon.png",
        "/manifest.json",
    }
)
OPEN_PREFIX = "/static/"
WEBSOCKET_PATH = "/_stcore/stream"
INNER_PREFIXES = ("/_stcore/", "/media/", "/component/", "/app/")
"""What pages load by themselves: answered 401, not with a redirect to a page."""


class Gate:
    """ASGI middleware that lets through only who has a session."""

    def __init__(self, app: ASGIApp, *, settings: UiSettings, sessions: SessionStore) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions
        self._headers = _security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or turn it away."""
        if scope["type"] == "http":
            with speaking(preferred(Headers(scope=scope).get("accept-language"))):
                await self._http(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/overview":
            # The page that opens first has no name at Streamlit, which calls this one not found.
            query = scope["query_string"].decode("latin-1")
            await RedirectResponse(f"/?{query}" if query else "/", 307)(scope, receive, send)
            return
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX) or self._session(scope):
            await self._app(scope, receive, send)
            return
        response: Response = PlainTextResponse(_("Sign in first.") + "\n", 401)
        if scope["method"] in {"GET", "HEAD"} and not path.startswith(INNER_PREFIXES):
            query = scope["query_string"].decode("latin-1")
            target = quote(path) + (f"?{query}" if query else "")
            # The full address: the cookie of the sign-in must be of the host that the provider returns to.
            url = f"{self._settings.ui_url}/auth/login?next={quote(target, safe='/')}"
            response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
        await response(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != WEBSOCKET_PATH or Headers(scope=scope).get("origin") != self._settings.ui_url:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if not self._session(scope):
            await receive()
            await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
            await _send_to_sign_in(send)
            return
        connection = _Watched(receive, send, lambda: self._session(scope))
        await self._app(scope, connection.receive, connection.send)

    def _session(self, scope: Scope) -> Session | None:
        return self._sessions.find(cookie_value(scope, session_cookie(self._settings)))

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        return send_with_headers


class _Watched:
    """A websocket that closes itself when its session is over."""

    def __init__(self, receive: Receive, send: Send, session: Callable[[], Session | None]) -> None:
        self._receive = receive
        self._send = send
        self._session = session
        self._over = False

    async def receive(self) -> Message:
        """The next message, or a disconnection when the session is over."""
        message = await self._receive()
        if message["type"] != "websocket.receive" or self._session():
            return message
        self._over = True
        await _send_to_sign_in(self._send)
        return {"type": "websocket.disconnect", "code": 1008}

    async def send(self, message: Message) -> None:
        """Send, unless the session is over."""
        if not self._over:
            await self._send(message)


async def _send_to_sign_in(send: Send) -> None:
    """Tell Streamlit's page to go and sign in (it comes back to where it was), and hang up."""
    message = ForwardMsg()
    message.auth_redirect.url = "/auth/login"
    await send({"type": "websocket.send", "bytes": message.SerializeToString()})
    await send({"type": "websocket.close", "code": 1008})


def _security_headers(settings: UiSettings) -> dict[str, str]:
    """What a browser may do on our pages: load from this host alone, and never inside another's frame."""
    parts = urlsplit(settings.ui_url)
    socket = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    policy = (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' {socket}; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
