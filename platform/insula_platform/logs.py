"""Structured logs: JSON for machines, colours for a terminal, one line per request, no secret ever."""

from __future__ import annotations

import logging
import re
import sys
import time
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from insula_platform.problems import problem_response

log = structlog.stdlib.get_logger("insula.requests")

REQUEST_ID_HEADER = "X-Request-Id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = frozenset({"/healthz", "/readyz"})


def configure_logging(level: str = "INFO") -> None:
    """Send the logs of this process, the libraries' included, to standard error.

    Start uvicorn with `log_config=None, access_log=False`: `RequestLog` takes the place of its access log.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderers: list[structlog.typing.Processor]
    if sys.stderr.isatty():
        # Plain tracebacks: the rich ones print local variables, and those hold passwords and tokens.
        renderers = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # else a line for each attempt of an outage
    keep_secrets_out()


def keep_secrets_out() -> None:
    """Keep tokens that libraries log out of the logs, and local variables out of tracebacks.

    This holds in a process that never called `configure_logging`, too: structlog's own default prints locals.
    """
    logging.getLogger("authlib").setLevel(logging.INFO)  # logs whole tokens when it issues them
    # Query strings hold codes and states. A filter, because uvicorn sets its loggers' level when it starts.
    logging.getLogger("uvicorn.access").addFilter(_drop)
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )


class RequestLog:
    """ASGI middleware: a request id for every request, one log line, and a 500 that gives nothing away."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the application inside."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only HTTP requests are logged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        start = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("unexpected error", method=scope["method"], path=scope["path"])
                if status:
                    raise  # the answer has begun: all we can do is to break it off
                await _internal_error(scope["path"], request_id)(scope, receive, send_with_id)
            finally:
                line = log.debug if scope["path"] in _QUIET else log.info
                line(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - start) * 1000, 1),
                )


def _drop(_record: logging.LogRecord) -> bool:
    return False


def _request_id(scope: Scope) -> str:
    """The caller's request id when it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(given := value.decode("latin-1")):
            return str(given)
    return uuid4().hex


def _internal_error(path: str, request_id: str) -> ASGIApp:
    return problem_response(
        500,
        "internal-error",
        "Something went wrong inside Insula.",
        "Try again; if it stays, report it with the request id.",
        instance=path,
        request_id=request_id,
    )
