"""The API as an attacker meets it: every route there is, and tokens forged in every way."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from joserfc.jwk import RSAKey

from insula_platform.oauth.scopes import API_SCOPES
from tests.platform.conftest import Live


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the OpenAPI document tells of it."""

    method: str
    path: str
    scopes: tuple[str, ...]
    parameters: tuple[tuple[str, str, bool], ...]
    """`(in, name, required)`."""

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


def operations(app: FastAPI) -> list[Operation]:
    """Every operation that the document has."""
    return [
        Operation(
            method,
            path,
            tuple(
                scope for scheme in told.get("security", ()) for scopes in scheme.values() for scope in scopes
            ),
            tuple((one["in"], one["name"], one.get("required", False)) for one in told.get("parameters", ())),
        )
        for path, methods in app.openapi()["paths"].items()
        for method, told in methods.items()
    ]


def routes(app: FastAPI) -> set[str]:
    """The path of every route, documented or not."""
    return {str(context.path) for context in iter_route_contexts(app.routes) if context.path is not None}


class Attacker:
    """One connection to a running platform, and its signing key, to forge tokens that are almost right."""

    def __init__(self, live: Live, http: httpx.Client, programs: dict[str | None, str]) -> None:
        """`programs` are ids of clients that may do everything, by tenant; None is the operator's."""
        self.live = live
        self.programs = programs
        self.http = http
        self.key = live.platform.signing_keys.signing_key()
        self.public_pem = self.key.as_pem(private=False)

    def call(
        self, operation: Operation, url: str, token: str | None, query: dict[str, Any] | None = None
    ) -> httpx.Response:
        """One request, redirects shown and not followed."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # Not httpx's own: it has no way to write a lone surrogate.
        asked = urlencode(query or {}, doseq=True, errors="surrogatepass")
        return self.http.request(operation.method, f"{url}?{asked}" if asked else url, headers=headers)

    def token(self, tenant: Any = "acme", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token by the platform's own key; a claim or header field of None is left out.

        It is that of the tenant's own program, which may do everything; of acme's for a tenant without one.
        """
        now = int(time.time())
        known = tenant is None or isinstance(tenant, str)
        program = self.programs.get(tenant if known else "acme", self.programs["acme"])
        said: dict[str, Any] = {
            "iss": self.live.url,
            "aud": f"{self.live.url}/api",
            "sub": program,
            "client_id": program,
            "tenant": tenant,
            "scope": " ".join(API_SCOPES),
            "iat": now,
            "exp": now + 300,
            "jti": "1",
        } | claims
        named: dict[str, Any] = {"alg": "RS256", "kid": self.key.kid, "typ": "at+jwt"} | (header or {})
        written = {name: value for name, value in named.items() if value is not None}
        told = {name: value for name, value in said.items() if value is not None}
        # By hand: joserfc refuses much of what an attacker may write.
        return self._signed(written, told, lambda text: self._by_rsa(self.key, text))

    @cached_property
    def forgeries(self) -> dict[str, str]:
        """Tokens that must open nothing, by what is wrong with them. All claim to be acme's."""
        stranger = RSAKey.generate_key(2048, {"kid": "stranger"})
        public = stranger.as_dict(private=False)
        good = self.token()
        header, payload, signature = good.split(".")
        now = int(time.time())

        def by_stranger(**fields: Any) -> str:
            named = {"alg": "RS256", "kid": self.key.kid, "typ": "at+jwt"} | fields
            return self._signed(named, self._part(payload), lambda text: self._by_rsa(stranger, text))

        def by_public_key(algorithm: str, digest: str, secret: bytes) -> str:
            named = self._part(header) | {"alg": algorithm}
            return self._signed(named, self._part(payload), lambda text: hmac.digest(secret, text, digest))

        def unsigned(algorithm: str) -> str:
            return self._signed(self._part(header) | {"alg": algorithm}, self._part(payload), lambda _: b"")

        jwk = json.dumps(self.key.as_dict(private=False)).encode()
        forged = {
            "no token at all": "null",
            "expired": self.token(exp=now - 3600, iat=now - 7200),
            "not yet valid": self.token(nbf=now + 3600),
            "issued tomorrow": self.token(iat=now + 86_400, exp=now + 90_000),
            "expiry as text": self.token(exp=str(now + 300)),
            "never expires": self.token(exp=None),
            "another audience": self.token(aud="insula-ui"),
            "the issuer as audience": self.token(aud=self.live.url),
            "another issuer": self.token(iss="https://evil.example"),
            "the issuer with a slash": self.token(iss=f"{self.live.url}/"),
            "no algorithm": unsigned("none"),
            "no algorithm, spelled oddly": unsigned("nOnE"),
            "no signature": f"{header}.{payload}.",
            "HS256 with the public key": by_public_key("HS256", "sha256", self.public_pem),
            "HS512 with the public key": by_public_key("HS512", "sha512", self.public_pem),
            "HS256 with the public JWK": by_public_key("HS256", "sha256", jwk),
            "HS256 with no secret": by_public_key("HS256", "sha256", b"\0"),
            "tampered payload": f"{header}.{self._encoded(self._part(payload) | {'scope': 'x'})}.{signature}",
            "swapped signature": f"{header}.{payload}.{self.token('globex').rpartition('.')[2]}",
            "another's key, our key id": by_stranger(),
            "another's key in the header": by_stranger(jwk=public, kid="stranger"),
            "another's key, our key id, in the header": by_stranger(jwk=public),
            "another's key by URL": by_stranger(jku="https://evil.example/jwks.json", kid="stranger"),
            "another's certificate by URL": by_stranger(x5u="https://evil.example/cert.pem"),
            "another's certificate chain": by_stranger(x5c=["MIIB"]),
            "a critical extension": by_stranger(crit=["b64"], b64=False),
            "an id token's type": self.token(header={"typ": "JWT"}),
            "no type": self.token(header={"typ": None}),
            "type in another spelling": self.token(header={"typ": "application/at+jwt;x"}),
            "no key id": self.token(header={"kid": None}),
            "tenant missing": self.token(None),
            "tenant as a list": self.token(["acme"]),
            "tenant as an object": self.token({"slug": "acme"}),
            "tenant as a number": self.token(1),
            "tenant true": self.token(True),
            "scope as a list": self.token(scope=list(API_SCOPES)),
            "subject missing": self.token(sub=None),
            "token id missing": self.token(jti=None),
            "three dots": good + ".",
            "JWE": f"{good}.{payload}.{signature}",
            "padded": good + "==",
        }
        for name, kid in KEY_IDS.items():
            forged[f"key id: {name}"] = self.token(header={"kid": kid})
        return forged

    @staticmethod
    def _by_rsa(key: RSAKey, text: bytes) -> bytes:
        return bytes(key.private_key.sign(text, padding.PKCS1v15(), hashes.SHA256()))

    def _signed(self, header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
        text = f"{self._encoded(header)}.{self._encoded(claims)}"
        return f"{text}.{urlsafe_b64encode(sign(text.encode())).rstrip(b'=').decode()}"

    @staticmethod
    def _encoded(value: Any) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    @staticmethod
    def _part(encoded: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        return found


KEY_IDS: dict[str, Any] = {
    "unknown": "unknown",
    "empty": "",
    "a path": "../../../../../dev/null",
    "a URL": "https://evil.example/key",
    "SQL": "' UNION SELECT public_jwk FROM signing_keys --",
    "NUL": "\0",
    "a lone surrogate": "\ud800",
    "long": "k" * 5000,
    "a number": 1,
    "a list": ["x"],
    "an object": {"$ne": None},
}

SLUGS = {
    "upper case": "ACME",
    "mixed case": "Acme",
    "trailing space": "acme%20",
    "leading space": "%20acme",
    "NUL": "acme%00",
    "line break": "acme%0a",
    "trailing dot": "acme.",
    "encoded slash": "acme%2f..%2fglobex",
    "encoded traversal": "acme%2f%2e%2e%2fglobex",
    "matrix": "acme;globex",
    "comma": "acme,globex",
    "wildcard": "%25",
    "Cyrillic": "%d0%b0cme",
    "full width": "%ef%bd%81%ef%bd%83%ef%bd%8d%ef%bd%85",
    "combining": "acme%cc%81",
    "no UTF-8": "acme%ff",
    "SQL": "acme'%20OR%20'1'='1",
    "schema": "tenant_globex",
    "empty": "",
    "long": "a" * 2000,
}
"""How a tenant may be written in a path, that is not its slug."""
