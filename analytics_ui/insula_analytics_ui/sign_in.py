"""Signing in and out: the routes `/auth/login`, `/auth/callback` and `/auth/logout`.

What a sign-in must remember until the browser comes back (state, nonce, PKCE verifier, where to go) is in a
signed cookie of that browser, one per sign-in, so that nobody fills this server's memory without a password.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from insula_analytics_ui.cookies import (
    SIGN_IN_SECONDS,
    cookie_value,
    is_secure,
    session_cookie,
    sign_in_cookie,
)
from insula_analytics_ui.errors import PlatformAway, SignInRefused, UiError
from insula_analytics_ui.notice import notice
from insula_analytics_ui.provider import Provider
from insula_analytics_ui.sessions import Session, SessionStore
from insula_analytics_ui.settings import UiSettings
from insula_analytics_ui.words import _

_log = structlog.get_logger(__name__)
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def local_path(path: str | None) -> str:
    """`path` when it is a page of this server, else the first page."""
    if not path or not _LOCAL.fullmatch(path) or path.startswith("/auth/"):
        return "/"
    return path


@dataclass(frozen=True)
class SignIn:
    """The routes, and what they need."""

    settings: UiSettings
    provider: Provider
    sessions: SessionStore
    signing_key: OctKey

    def routes(self) -> list[Route]:
        """Login, callback and logout."""
        return [
            Route("/auth/login", self.login, methods=["GET"]),
            Route("/auth/callback", self.callback, methods=["GET"]),
            Route("/auth/logout", self.logout, methods=["GET"]),
        ]

    def login(self, request: Request) -> Response:
        """Send the browser to the provider, and remember where it wanted to go."""
        target = self._target(request)
        if self._session(request):
            return RedirectResponse(target, 303)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            url = self.provider.authorization_url(state=state, nonce=nonce, verifier=verifier)
        except UiError as error:
            return self._refused(error)
        response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
        remembered = jwt.encode(
            {"alg": "HS256"},
            {
                "state": state,
                "nonce": nonce,
                "verifier": verifier,
                "target": target,
                "exp": int(time.time()) + SIGN_IN_SECONDS,
            },
            self.signing_key,
        )
        response.set_cookie(
            sign_in_cookie(state),
            remembered,
            max_age=SIGN_IN_SECONDS,
            path="/auth/callback",
            httponly=True,
            samesite="lax",
            secure=is_secure(self.settings),
        )
        return response

    def callback(self, request: Request) -> Response:
        """Check that this is the answer to our question, and begin a session."""
        state = request.query_params.get("state", "")
        old = self._session(request)
        try:
            remembered = self._remembered(request, state)
        except SignInRefused as error:
            # With a session this is somebody's way back through their history, or a link laid out for them.
            return RedirectResponse("/", 303) if old else self._refused(error)
        try:
            self._check_answer(request)
            person, tokens = self.provider.exchange(
                code=request.query_params["code"],
                verifier=remembered["verifier"],
                nonce=remembered["nonce"],
            )
        except UiError as error:
            return self._refused(error)
        if old:
            self.sessions.end(old)
        cookie = self.sessions.begin(person, tokens)
        _log.info("signed in", tenant=person.tenant, subject=person.subject)
        response = RedirectResponse(
            local_path(remembered["target"]), 303, headers={"Cache-Control": "no-store"}
        )
        response.delete_cookie(sign_in_cookie(state), path="/auth/callback")
        response.set_cookie(
            session_cookie(self.settings),
            cookie,
            max_age=int(self.settings.ui_session_hours * 3600),
            path="/",
            httponly=True,
            samesite="lax",
            secure=is_secure(self.settings),
        )
        return response

    def logout(self, request: Request) -> Response:
        """End the session here, then at the provider."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            return RedirectResponse("/", 303)  # only our own pages sign people out
        session = self._session(request)
        url = "/"
        if session:
            self.sessions.end(session)
            _log.info("signed out", tenant=session.person.tenant, subject=session.person.subject)
            try:
                url = self.provider.logout_url(session.tokens.id_token) or "/"
            except UiError:
                _log.warning("the provider does not answer; signed out here alone")
        response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
        response.delete_cookie(
            session_cookie(self.settings), path="/", httponly=True, secure=is_secure(self.settings)
        )
        return response

    def _session(self, request: Request) -> Session | None:
        return self.sessions.find(cookie_value(request.scope, session_cookie(self.settings)))

    def _target(self, request: Request) -> str:
        """Where to go after signing in: `next`, else the page of ours that the browser comes from."""
        if "next" in request.query_params:
            return local_path(request.query_params["next"])
        came_from = urlsplit(request.headers.get("referer", ""))
        if f"{came_from.scheme}://{came_from.netloc}" != self.settings.ui_url:
            return "/"
        return local_path(came_from.path + (f"?{came_from.query}" if came_from.query else ""))

    def _remembered(self, request: Request, state: str) -> dict[str, str]:
        cookie = request.cookies.get(sign_in_cookie(state)) if _STATE.fullmatch(state) else None
        if cookie is None:
            raise SignInRefused("the state is not one that this browser was given")
        try:
            claims = jwt.decode(cookie, self.signing_key, algorithms=["HS256"]).claims
            jwt.JWTClaimsRegistry(state={"essential": True, "value": state}).validate(claims)
        except (JoseError, ValueError) as error:
            raise SignInRefused(f"the sign-in cookie is not good: {error}") from error
        return claims

    def _check_answer(self, request: Request) -> None:
        answer = request.query_params
        metadata = self.provider.metadata()
        named = answer.get("iss")
        if named != metadata.issuer and (named is not None or metadata.names_itself_in_callbacks):
            raise SignInRefused("the answer comes from another issuer")  # RFC 9207
        if "error" in answer:
            raise SignInRefused(f"the provider said {answer['error']!r}")
        if "code" not in answer:
            raise SignInRefused("the answer has neither a code nor an error")

    def _refused(self, error: UiError) -> Response:
        if isinstance(error, SignInRefused):
            _log.warning("sign-in refused", reason=error.reason)
        status = 503 if isinstance(error, PlatformAway) else 400
        todo = _("Try again in a moment.") if isinstance(error, PlatformAway) else error.todo
        return notice(status, what=error.what, todo=todo, action=_("Sign in"), url="/auth/login?next=/")
