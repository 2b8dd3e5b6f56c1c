"""A provider that says what a test wants it to: right by default, wrong in one thing at a time."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey


@dataclass
class Lies:
    """What the provider says differently from what is right."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Of the ID token; None leaves one out."""
    discovery: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    sign: Callable[[RogueProvider, bytes], bytes] | None = None
    before: Callable[[BaseHTTPRequestHandler], bool] | None = None
    """Answers a request in place of the provider, if it says so."""


class RogueProvider:
    """Discovery, keys, token endpoint and userinfo. Its authorization endpoint is the test itself."""

    def __init__(self) -> None:
        self.key = self.new_key()
        self.lies = Lies()
        self.nonce = ""
        self.asked: list[str] = []
        """Paths, in the order of the requests."""
        self.forms: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    @staticmethod
    def new_key() -> RSAKey:
        return RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "authorization_response_iss_parameter_supported": True,
        } | self.lies.discovery

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": "insula",
            "sub": "s-1",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
        } | self.lies.claims
        header = {"alg": "RS256", "kid": self.key.kid} | self.lies.header
        # By hand: joserfc refuses much of what an attacker may write.
        text = f"{_encoded(header)}.{_encoded({k: v for k, v in claims.items() if v is not None})}".encode()
        signature = (self.lies.sign or RogueProvider.by_key)(self, text)
        return f"{text.decode()}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def by_key(self, text: bytes) -> bytes:
        return bytes(self.key.private_key.sign(text, padding.PKCS1v15(), hashes.SHA256()))

    def by_public_key(self, text: bytes) -> bytes:
        return hmac.digest(self.key.as_pem(private=False), text, "sha256")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        rogue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                rogue.asked.append(self.path)
                if rogue.lies.before and rogue.lies.before(self):
                    return
                answers = {
                    "/.well-known/openid-configuration": rogue.discovery,
                    "/jwks": lambda: {"keys": [rogue.key.as_dict(private=False)]},
                    "/userinfo": lambda: {"sub": rogue.lies.claims.get("sub", "s-1")} | rogue.lies.userinfo,
                }
                self.answer(200, answers[self.path]())

            def do_POST(self) -> None:
                rogue.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                rogue.forms.append(dict(parse_qsl(body)))
                if rogue.lies.token_status != 200:
                    self.answer(rogue.lies.token_status, {"error": "invalid_client"})
                    return
                self.answer(200, {"id_token": rogue.id_token(), "access_token": "at", "token_type": "Bearer"})

            def answer(self, status: int, said: dict[str, Any]) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def _encoded(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
