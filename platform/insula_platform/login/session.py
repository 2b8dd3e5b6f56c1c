"""A login's dealings with the platform: sign in by a code, refresh, revoke, and call the API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from time import sleep
from typing import Any, Self

import httpx
from pydantic import SecretStr

from insula_platform.login.store import Login, forget_login, locked, read_login, write_login
from insula_tenants.errors import InsulaError

CLIENT_ID = "insula-cli"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_REFRESH_BEFORE = 30.0
"""Seconds an access token must still be good for, so that it does not expire on its way."""

_SLOWER_BY = 5.0
_TIMEOUT = httpx.Timeout(30, read=300)


class NotSignedIn(InsulaError):
    """There is no login, or it is over."""

    status = 401
    type = "not-signed-in"


class PlatformError(InsulaError):
    """The platform did not answer as one does."""

    status = 502
    type = "platform-error"


class PlatformAway(PlatformError):
    """The platform does not answer."""


@dataclass(frozen=True, slots=True)
class DeviceCodes:
    """What the person is to be shown, and what the program keeps to itself."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    device_code: str
    interval: float
    """Seconds between two questions."""
    expires_in: float
    """Seconds the person has."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token endpoint's answer."""

    access_token: str
    refresh_token: str
    expires_at: float


class PlatformClient:
    """HTTP to one platform; its endpoints are those it says itself, if they are its own."""

    def __init__(self, url: str) -> None:
        """`url` is the issuer, without a path."""
        self.url = url
        self._http = httpx.Client(
            base_url=url, timeout=_TIMEOUT, headers={"User-Agent": f"insula/{version('insula')}"}
        )
        self._endpoints: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def begin(self, scope: str | None, tenant: str | None) -> DeviceCodes:
        """Ask for codes (RFC 8628, section 3.1)."""
        wish = {"client_id": CLIENT_ID, "scope": scope, "tenant": tenant}
        answer = self._post("device_authorization_endpoint", {k: v for k, v in wish.items() if v})
        codes = self._answered(answer)
        return DeviceCodes(**{name: codes[name] for name in DeviceCodes.__slots__})

    def await_decision(self, codes: DeviceCodes) -> Tokens:
        """Ask until the person has decided; `NotSignedIn` when they said no, or nothing in time."""
        interval, over = codes.interval, time.monotonic() + codes.expires_in
        form = {"grant_type": DEVICE_GRANT, "client_id": CLIENT_ID, "device_code": codes.device_code}
        while time.monotonic() < over:
            sleep(interval)
            try:
                answer = self._post("token_endpoint", form)
            except PlatformAway:
                interval *= 2  # section 3.5: exponential backoff
                continue
            error = _error_of(answer)
            if error == "slow_down":
                interval += _SLOWER_BY
            elif error == "access_denied":
                raise NotSignedIn("it was denied in the browser")
            elif error != "authorization_pending":
                return self._tokens(self._answered(answer))
        raise NotSignedIn("nobody decided in time: try again")

    def refresh(self, refresh_token: str) -> Tokens:
        """The next tokens; `NotSignedIn` when the login is over."""
        form = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": refresh_token}
        answer = self._post("token_endpoint", form)
        if _error_of(answer) == "invalid_grant":
            raise NotSignedIn("the login is over: insula login")
        return self._tokens(self._answered(answer))

    def revoke(self, token: str) -> None:
        """End the login at the platform."""
        self._answered(self._post("revocation_endpoint", {"client_id": CLIENT_ID, "token": token}))

    def userinfo(self, access_token: str) -> dict[str, Any]:
        """Who the bearer is, and where."""
        return self._answered(self.call("GET", self._endpoint("userinfo_endpoint"), access_token))

    def call(self, method: str, path: str, access_token: str, body: bytes | None = None) -> httpx.Response:
        """One request with the token, redirects not followed: they might lead elsewhere."""
        headers = {"Authorization": f"Bearer {access_token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._http.request(method, path, content=body, headers=headers)
        except httpx.TransportError as error:
            raise PlatformAway(f"{self.url} does not answer: {error}") from None

    def _post(self, endpoint: str, form: dict[str, str]) -> httpx.Response:
        try:
            return self._http.post(self._endpoint(endpoint), data=form)
        except httpx.TransportError as error:
            raise PlatformAway(f"{self.url} does not answer: {error}") from None

    def _endpoint(self, name: str) -> str:
        if self._endpoints is None:
            try:
                answer = self._http.get("/.well-known/oauth-authorization-server")
            except httpx.TransportError as error:
                raise PlatformAway(f"{self.url} does not answer: {error}") from None
            self._endpoints = self._answered(answer)
            # RFC 8414, section 3.3: else anybody could send the tokens' way elsewhere.
            if self._endpoints.get("issuer") != self.url:
                raise PlatformError(f"{self.url} says it is {self._endpoints.get('issuer')}")
        found = str(self._endpoints.get(name, ""))
        if not found.startswith(f"{self.url}/"):
            raise PlatformError(f"{self.url} has no {name} of its own")
        return found

    def _answered(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_success and isinstance(body, dict):
            return body
        told = body if isinstance(body, dict) else {}
        why = told.get("error_description") or told.get("detail") or told.get("error")
        raise PlatformError(f"{self.url}: {why or f'status {answer.status_code}'}")

    @staticmethod
    def _tokens(answer: dict[str, Any]) -> Tokens:
        expires_at = time.time() + float(answer["expires_in"])
        return Tokens(answer["access_token"], answer["refresh_token"], expires_at)


def current_login() -> Login:
    """The login with an access token that is good for a while; `NotSignedIn` when there is none.

    Several commands may run at once: one of them refreshes, and the others find what it brought.
    """
    with locked():
        login = read_login()
        if login is None:
            raise NotSignedIn("you are not signed in: insula login")
        if login.expires_at - time.time() > _REFRESH_BEFORE:
            return login
        with PlatformClient(login.url) as client:
            try:
                tokens = client.refresh(login.refresh_token.get_secret_value())
            except NotSignedIn:
                forget_login()
                raise
        login = renewed(login.url, login.tenant, tokens)
        write_login(login)
        return login


def renewed(url: str, tenant: str, tokens: Tokens) -> Login:
    """A login with these tokens."""
    return Login(
        url=url,
        tenant=tenant,
        access_token=SecretStr(tokens.access_token),
        expires_at=tokens.expires_at,
        refresh_token=SecretStr(tokens.refresh_token),
    )


def _error_of(answer: httpx.Response) -> str | None:
    """The `error` of an OAuth answer (RFC 6749, section 5.2)."""
    if answer.is_success:
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    return body.get("error") if isinstance(body, dict) else None
