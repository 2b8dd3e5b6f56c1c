"""The platform's OpenID provider, as this server speaks to it.

Browsers reach the provider by its issuer; this server may reach it by another address. What the discovery
document says is for browsers, so the addresses that this server calls are moved to the inside.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from insula_analytics_ui.errors import PlatformAway, SessionEnded, SignInRefused
from insula_analytics_ui.sessions import Person, Tokens
from insula_analytics_ui.settings import UiSettings

SCOPES = "openid profile email devices:read readings:read"
CLOCK_SKEW = 30
"""Seconds by which this server's clock and the provider's may differ."""


@dataclass(frozen=True)
class Metadata:
    """What the provider says of itself, with the addresses this server calls moved to the inside."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    names_itself_in_callbacks: bool


class Provider:
    """Discovery, keys and tokens of one provider. Its methods block; call them from a thread."""

    def __init__(self, settings: UiSettings, http: httpx.Client) -> None:
        self._settings = settings
        self._http = http
        self._lock = threading.Lock()
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to."""
        return f"{self._settings.ui_url}/auth/callback"

    def metadata(self) -> Metadata:
        """What the provider says of itself, asked once. Raises `PlatformAway` and `SignInRefused`."""
        with self._lock:
            if self._metadata is None:
                url = f"{self._settings.inside_url}/.well-known/openid-configuration"
                self._metadata = self._read(self._json(url))
            return self._metadata

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser to sign in."""
        client = OAuth2Client(
            None,
            client_id=self._settings.ui_client_id,
            redirect_uri=self.redirect_uri,
            scope=SCOPES,
            code_challenge_method="S256",
        )
        url, _ = client.create_authorization_url(
            self.metadata().authorization_endpoint, state=state, nonce=nonce, code_verifier=verifier
        )
        return str(url)

    def exchange(self, *, code: str, verifier: str, nonce: str) -> tuple[Person, Tokens]:
        """Turn a callback's code into a person and tokens, every signature and claim checked."""
        answer = self._token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": verifier,
            }
        )
        if answer is None:
            raise SignInRefused("the token endpoint refused the code")
        tokens = _tokens(answer, id_token=None)
        claims = self.verify(tokens.id_token, nonce=nonce, access_token=tokens.access_token)
        return self._person(claims, tokens), tokens

    def renew(self, refresh_token: str, id_token: str) -> Tokens:
        """New tokens for a refresh token. Raises `SessionEnded` when it is refused, `PlatformAway`."""
        answer = self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})
        if answer is None:
            raise SessionEnded
        try:
            return _tokens({"refresh_token": refresh_token} | answer, id_token=id_token)
        except SignInRefused as error:
            raise SessionEnded from error

    def verify(self, id_token: str, *, nonce: str, access_token: str) -> dict[str, Any]:
        """The claims of an ID token of this issuer, for this client and this sign-in, signed with RS256."""
        issuer, client_id = self.metadata().issuer, self._settings.ui_client_id
        try:
            token = self._decode(id_token)
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": client_id},
                },
                params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
            )
            claims.validate(leeway=CLOCK_SKEW)
        except (JoseError, ValueError) as error:
            raise SignInRefused(f"the ID token is not good: {error}") from error
        return dict(claims)

    def logout_url(self, id_token: str) -> str | None:
        """Where to send a browser to end its session at the provider, if the provider has such a place."""
        endpoint = self.metadata().end_session_endpoint
        if endpoint is None:
            return None
        return str(
            httpx.URL(endpoint).copy_merge_params(
                {"id_token_hint": id_token, "post_logout_redirect_uri": f"{self._settings.ui_url}/"}
            )
        )

    def _decode(self, id_token: str) -> jwt.Token:
        registry = JWSRegistry(algorithms=["RS256"])
        try:
            return jwt.decode(id_token, self._key_set(fresh=False), registry=registry)
        except (JoseError, ValueError):  # the provider may have a new key since we asked
            return jwt.decode(id_token, self._key_set(fresh=True), registry=registry)

    def _key_set(self, *, fresh: bool) -> KeySet:
        uri = self.metadata().jwks_uri
        with self._lock:
            if self._keys is None or fresh:
                self._keys = KeySet.import_key_set(self._json(uri))  # type: ignore[arg-type] # JSON
            return self._keys

    def _person(self, claims: dict[str, Any], tokens: Tokens) -> Person:
        endpoint = self.metadata().userinfo_endpoint
        if endpoint and not {"tenant", "tenant_name", "name"} <= claims.keys():
            more = self._json(endpoint, {"Authorization": f"Bearer {tokens.access_token}"})
            if more.get("sub") != claims["sub"]:
                raise SignInRefused("userinfo speaks of somebody else")
            claims = {**more, **claims}
        if not claims.get("tenant"):
            raise SignInRefused("the ID token names no tenant")
        return Person(
            subject=str(claims["sub"]),
            name=str(claims.get("name") or claims.get("email") or claims["sub"]),
            email=claims.get("email"),
            tenant=str(claims["tenant"]),
            tenant_name=str(claims.get("tenant_name") or claims["tenant"]),
        )

    def _token(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The token endpoint's answer, or nothing when it refuses."""
        secret = self._settings.ui_client_secret.get_secret_value()
        try:
            response = self._http.post(
                self.metadata().token_endpoint, data=form, auth=(self._settings.ui_client_id, secret)
            )
        except httpx.HTTPError as error:
            raise PlatformAway from error
        if response.status_code == 429 or response.status_code >= 500:
            raise PlatformAway
        return _object(response) if response.is_success else None

    def _json(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            response = self._http.get(url, headers=headers)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise PlatformAway from error
        return _object(response)

    def _read(self, document: dict[str, Any]) -> Metadata:
        issuer = str(document.get("issuer", ""))
        if issuer.rstrip("/") != self._settings.platform_url:
            raise SignInRefused(
                f"the provider calls itself {issuer or 'nothing'}, "
                f"but INSULA_PLATFORM_URL is {self._settings.platform_url}: make them the same"
            )

        def inside(name: str) -> str | None:
            url = document.get(name)
            return url and str(url).replace(self._settings.platform_url, self._settings.inside_url, 1)

        token, jwks = inside("token_endpoint"), inside("jwks_uri")
        authorization = document.get("authorization_endpoint")
        if not (token and jwks and authorization):
            raise SignInRefused("the discovery document lacks an endpoint")
        return Metadata(
            issuer=issuer,
            authorization_endpoint=str(authorization),
            token_endpoint=token,
            jwks_uri=jwks,
            userinfo_endpoint=inside("userinfo_endpoint"),
            end_session_endpoint=document.get("end_session_endpoint"),
            names_itself_in_callbacks=bool(document.get("authorization_response_iss_parameter_supported")),
        )


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise PlatformAway
    return answer


def _tokens(answer: Mapping[str, Any], *, id_token: str | None) -> Tokens:
    id_token = answer.get("id_token") or id_token
    if not answer.get("access_token") or not id_token:
        raise SignInRefused("the token endpoint's answer lacks a token")
    return Tokens(
        access_token=str(answer["access_token"]),
        expires_at=time.time() + float(answer.get("expires_in", 600)),
        refresh_token=answer.get("refresh_token"),
        id_token=str(id_token),
    )
