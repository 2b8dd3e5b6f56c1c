"""Files of readings: the API's own formats, streamed to a browser without a token.

`GET /files/readings.csv` and `.parquet` take the parameters of the API's `readings`. The API decides what the
person may read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from insula_analytics_ui.api.client import Api, Query, refusal
from insula_analytics_ui.backend import Backend
from insula_analytics_ui.cookies import cookie_value, session_cookie
from insula_analytics_ui.errors import ApiRefused, PlatformAway, SessionEnded, UiError
from insula_analytics_ui.notice import notice
from insula_analytics_ui.sessions import Session
from insula_analytics_ui.words import _

FORMATS = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
ASKED_AT_ONCE = 4
"""Files of a tenant that may wait for the API's answer at a time."""
PARAMETERS = frozenset({"point", "from", "to", "bucket", "aggregate", "time_zone"})


@dataclass(frozen=True)
class Files:
    """The route, and what it needs."""

    backend: Backend
    _asked: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    """By tenant, those that the API has not answered yet. Used in the event loop alone."""

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
            session = self._session(request)
            with self._one_more(session):
                answer = await run_in_threadpool(self._ask, session, request, media_type)
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

    def _session(self, request: Request) -> Session:
        cookie = cookie_value(request.scope, session_cookie(self.backend.settings))
        session = self.backend.sessions.find(cookie)
        if session is None:
            raise SessionEnded
        return session

    @contextmanager
    def _one_more(self, session: Session) -> Iterator[None]:
        """A place for one more file that waits for the API's answer: each holds a thread, of all's."""
        tenant = session.person.tenant
        if self._asked[tenant] >= ASKED_AT_ONCE:
            raise ApiRefused(
                429, _("Your tenant asks too much at once."), _("Take the file when the others have begun.")
            )
        self._asked[tenant] += 1
        try:
            yield
        finally:
            self._asked[tenant] -= 1
            if not self._asked[tenant]:
                del self._asked[tenant]

    def _ask(self, session: Session, request: Request, media_type: str) -> httpx.Response:
        """The API's answer, its body not yet read."""
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
