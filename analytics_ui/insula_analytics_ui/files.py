"""Files of readings: the API's own formats, streamed to a browser without a token.

`GET /files/readings.csv` and `.parquet` take the parameters of the API's `readings`. The API decides what the
person may read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from insula_analytics_ui.api.client import Api, Query, refusal
from insula_analytics_ui.backend import Backend
from insula_analytics_ui.cookies import cookie_value, session_cookie
from insula_analytics_ui.errors import PlatformAway, SessionEnded, UiError
from insula_analytics_ui.notice import notice
from insula_analytics_ui.words import _

FORMATS = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
PARAMETERS = frozenset({"point", "from", "to", "bucket", "aggregate", "time_zone"})


@dataclass(frozen=True)
class Files:
    """The route, and what it needs."""

    backend: Backend

    def routes(self) -> list[Route]:
        """One route for each format."""
        return [Route("/files/readings.{ending:str}", self.readings, methods=["GET"])]

    async def readings(self, request: Request) -> Response:
        """The readings, as the API sends them."""
        media_type = FORMATS.get(request.path_params["ending"])
        if media_type is None:
            return notice(
                404,
                what=_("There is no such format."),
                todo=_("Take the readings as CSV or Parquet."),
                action=_("Point explorer"),
                url="/explorer",
            )
        try:
            answer = await run_in_threadpool(self._ask, request, media_type)
        except UiError as error:
            status = 401 if isinstance(error, SessionEnded) else getattr(error, "status", 503)
            return notice(
                status, what=error.what, todo=error.todo, action=_("Point explorer"), url="/explorer"
            )
        name = f"readings.{request.path_params['ending']}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        for kept in ("Insula-Complete-Until", "Insula-Served-From"):
            if kept in answer.headers:
                headers[kept] = answer.headers[kept]
        return StreamingResponse(_pieces(answer), media_type=media_type, headers=headers)

    def _ask(self, request: Request, media_type: str) -> httpx.Response:
        """The API's answer, its body not yet read."""
        cookie = cookie_value(request.scope, session_cookie(self.backend.settings))
        session = self.backend.sessions.find(cookie)
        if session is None:
            raise SessionEnded
        api = Api(self.backend, session)
        asked: Query = [
            (name, value) for name, value in request.query_params.multi_items() if name in PARAMETERS
        ]

        def send(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}", "Accept": media_type}
            question = self.backend.http.build_request(
                "GET", api.url("readings"), params=asked, headers=headers
            )
            try:
                return self.backend.http.send(question, stream=True)
            except httpx.HTTPError as error:
                raise PlatformAway from error

        answer = api.authorized(send)
        if not answer.is_success:
            try:
                answer.read()
            except httpx.HTTPError as error:
                raise PlatformAway from error
            raise refusal(answer, "readings")
        return answer


def _pieces(answer: httpx.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_bytes()
    finally:
        answer.close()
