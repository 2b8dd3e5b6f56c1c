"""All that a browser window is sent, so that a test can look for what must not be in it."""

from __future__ import annotations

from collections.abc import Iterable

from playwright.sync_api import BrowserContext, Error, Page, Request, WebSocket

_SAME_FOR_ALL = {"script", "stylesheet", "font", "image", "manifest"}
"""Files of the release: they hold words of all kinds, and nothing of anybody."""


class Heard:
    """Bodies of answers and frames of websockets of all pages of a window, from its opening on."""

    def __init__(self, context: BrowserContext) -> None:
        self._bodies: list[bytes] = []
        self._frames: list[bytes] = []
        context.on("page", self._listen)
        context.on("requestfinished", self._answered)

    def words(self, words: Iterable[str]) -> set[str]:
        """Which of these are anywhere in what was sent so far."""
        sent = b"\n".join([*self._bodies, *self._frames])
        return {word for word in words if word.encode() in sent}

    def _listen(self, page: Page) -> None:
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._frame)

    def _frame(self, payload: str | bytes) -> None:
        self._frames.append(payload.encode() if isinstance(payload, str) else payload)

    def _answered(self, request: Request) -> None:
        if request.resource_type in _SAME_FOR_ALL:
            return
        answer = request.response()
        if answer is None or 300 <= answer.status < 400:
            return  # a redirect has no body
        try:
            self._bodies.append(answer.body())
        except Error:  # a page that was left meanwhile took its bodies with it
            return
