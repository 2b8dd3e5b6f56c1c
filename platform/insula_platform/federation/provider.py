"""An OpenID provider as the platform speaks to it: discovery, the code flow with PKCE, ID tokens.

What providers publish of themselves is remembered for an hour, by issuer: every tenant that names an issuer
is told what that issuer says, and nothing of another's.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote_plus

from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact

from insula_platform.federation.errors import SignInRefused
from insula_platform.federation.outbound import Outbound, ProviderUnreachable

ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512")
"""Signatures that are believed. None is by a shared secret, so no public key can serve as one."""

CLOCK_SKEW = 30
"""Seconds by which the provider's clock and ours may differ."""

_BELIEVED_FOR = 3600.0
_KEYS_AT_MOST_EVERY = 30.0
"""Seconds between two looks at an issuer's keys, however many tokens name an unknown one."""
_ISSUERS = 500
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    by_header: bool
    """Whether it takes the client's secret in the header, `client_secret_basic`."""
    by_form: bool
    """Whether it takes it in the form, `client_secret_post`."""
    names_itself_in_callbacks: bool
    """RFC 9207."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The platform as a client of a tenant's provider."""

    issuer: str
    client_id: str
    client_secret: str
    scope: str
    redirect_uri: str


class Attempt(NamedTuple):
    """The secrets of one sign-in, which its browser keeps until it comes back."""

    state: str
    nonce: str
    verifier: str


class Answer(NamedTuple):
    """What a sign-in brought: the ID token's claims, verified, and the key to userinfo."""

    claims: dict[str, Any]
    access_token: str


class Providers:
    """Tenants' providers, and what they have published; thread-safe."""

    def __init__(self, outbound: Outbound) -> None:
        """Nothing has been asked yet."""
        self.outbound = outbound
        self._metadata: _Memory[Metadata] = _Memory()
        self._keys: _Memory[KeySet] = _Memory()

    def metadata(self, issuer: str, *, fresh: bool = False) -> Metadata:
        """What the issuer says of itself; `ProviderUnreachable` or `SignInRefused`, with what is wrong."""
        known = None if fresh else self._metadata.younger_than(_BELIEVED_FOR, issuer)
        if known is None:
            document = self.outbound.get(discovery_url(issuer))
            known = self._metadata.keep(issuer, self._read(issuer, document))
        return known

    def keys(self, issuer: str, *, max_age: float = _BELIEVED_FOR) -> KeySet:
        """The issuer's public keys, not older than `max_age` seconds; errors as `metadata`."""
        known = self._keys.younger_than(max_age, issuer)
        if known is None:
            document = self.outbound.get(self.metadata(issuer).jwks_uri)
            known = self._keys.keep(issuer, read_keys(document))
        return known

    def authorization_url(
        self, registration: Registration, attempt: Attempt, *, login_hint: str | None = None
    ) -> str:
        """Where to send the browser."""
        client = OAuth2Client(
            None,
            client_id=registration.client_id,
            redirect_uri=registration.redirect_uri,
            scope=registration.scope,
            code_challenge_method="S256",
        )
        more = {"login_hint": login_hint} if login_hint else {}
        url, _ = client.create_authorization_url(
            self.metadata(registration.issuer).authorization_endpoint,
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
            **more,
        )
        return str(url)

    def check_callback(self, registration: Registration, given: Mapping[str, str]) -> str:
        """The code of an answer that comes from this issuer (RFC 9207); `SignInRefused` for any other."""
        named = given.get("iss")
        must_name = self.metadata(registration.issuer).names_itself_in_callbacks
        if (named is None and must_name) or (named is not None and named != registration.issuer):
            raise SignInRefused("wrong-issuer", "The answer does not come from the provider that was asked.")
        if error := given.get("error"):
            said = error if error.isascii() and error.isprintable() and len(error) <= 60 else "an error"
            raise SignInRefused("provider-refused", f"Your provider answered with {said}.")
        code = given.get("code")
        if not code:
            raise SignInRefused("no-code", "The provider's answer has no code.")
        return code

    def exchange(self, registration: Registration, attempt: Attempt, code: str) -> Answer:
        """Turn a code into verified claims."""
        metadata = self.metadata(registration.issuer)
        status, answer = self.redeem(metadata, registration, code, attempt.verifier)
        if status != 200:
            error = answer.get("error")
            said = error if isinstance(error, str) and error.isascii() and len(error) <= 60 else str(status)
            raise SignInRefused("code-refused", f"The provider did not take its own code: {said}.")
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInRefused(
                "no-id-token", "The provider's answer has no ID token: ask for the scope openid."
            )
        return Answer(self.verify(registration, attempt, id_token, access_token), access_token)

    def redeem(
        self, metadata: Metadata, registration: Registration, code: str, verifier: str
    ) -> tuple[int, dict[str, Any]]:
        """What the token endpoint says to a code: status and JSON."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": registration.redirect_uri,
            "code_verifier": verifier,
        }
        given = (registration.client_id, registration.client_secret)
        encoded = (quote_plus(given[0]), quote_plus(given[1]))
        # Section 2.3.1 of RFC 6749 has them encoded in the header, and not every provider decodes them.
        if metadata.by_form and (not metadata.by_header or encoded != given):
            form |= {"client_id": given[0], "client_secret": given[1]}
            return self.outbound.post(metadata.token_endpoint, form, None)
        return self.outbound.post(metadata.token_endpoint, form, encoded)

    def userinfo(self, registration: Registration, answer: Answer) -> dict[str, Any]:
        """What the provider tells beside the ID token, of the same person; empty where it tells nothing."""
        endpoint = self.metadata(registration.issuer).userinfo_endpoint
        if endpoint is None:
            return {}
        more = self.outbound.get(endpoint, {"Authorization": f"Bearer {answer.access_token}"})
        if more.get("sub") != answer.claims["sub"]:  # OpenID Connect Core, section 5.3.2
            raise SignInRefused(
                "other-subject", "The provider's userinfo speaks of somebody else.", claim="sub"
            )
        return more

    def verify(
        self, registration: Registration, attempt: Attempt, id_token: str, access_token: str
    ) -> dict[str, Any]:
        """The claims of an ID token of this issuer, for us and for this sign-in (Core, section 3.1.3.7)."""
        token = self._decode(registration.issuer, id_token)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": registration.issuer},
                "aud": {"essential": True, "value": registration.client_id},
            },
            params={
                "nonce": attempt.nonce,
                "client_id": registration.client_id,
                "access_token": access_token,
            },
        )
        try:
            claims.validate(leeway=CLOCK_SKEW)
        except (JoseError, ValueError, TypeError) as error:
            claim = getattr(error, "claim", None)
            raise SignInRefused(
                "id-token-claims",
                f"The ID token is not good for this sign-in: {claim or 'a claim'} is missing or wrong.",
                claim=claim if isinstance(claim, str) else None,
                received=map(str, token.claims),
            ) from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or "\x00" in subject:
            raise SignInRefused("id-token-claims", "The ID token's sub is no subject.", claim="sub")
        return dict(claims)

    def _decode(self, issuer: str, id_token: str) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(ALGORITHMS))
        try:
            header = extract_compact(id_token.encode()).headers()
        except (JoseError, ValueError, RecursionError):
            raise SignInRefused("id-token-form", "The ID token is malformed.") from None
        if header.get("alg") not in ALGORITHMS:
            raise SignInRefused(
                "id-token-algorithm", f"The ID token must be signed with one of {', '.join(ALGORITHMS)}."
            )
        keys = self.keys(issuer)
        if all(key.kid != header.get("kid") for key in keys.keys):  # it may have a new one since we asked
            keys = self.keys(issuer, max_age=_KEYS_AT_MOST_EVERY)
        try:
            return jwt.decode(id_token, keys, registry=registry)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise SignInRefused(
                "id-token-signature", "The ID token is not signed with a key of the provider."
            ) from None

    def _read(self, issuer: str, document: Mapping[str, Any]) -> Metadata:
        if document.get("issuer") != issuer:
            raise ProviderUnreachable(
                f"the provider calls itself {str(document.get('issuer'))[:200]!r}: give exactly that"
            )
        for name in _ENDPOINTS:
            if not isinstance(document.get(name), str):
                raise ProviderUnreachable(f"the provider's discovery document has no {name}")
        userinfo = document.get("userinfo_endpoint")
        for name in (*_ENDPOINTS, *(["userinfo_endpoint"] if userinfo else [])):
            try:
                self.outbound.check(str(document[name]))
            except ProviderUnreachable as error:
                raise ProviderUnreachable(f"the provider's {name} cannot be used: {error.detail}") from None
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if not {"client_secret_basic", "client_secret_post"} & set(methods):
            raise ProviderUnreachable(
                "the provider takes no client secret: neither in a header nor in a form"
            )
        return Metadata(
            issuer=issuer,
            authorization_endpoint=document["authorization_endpoint"],
            token_endpoint=document["token_endpoint"],
            jwks_uri=document["jwks_uri"],
            userinfo_endpoint=str(userinfo) if userinfo else None,
            by_header="client_secret_basic" in methods,
            by_form="client_secret_post" in methods,
            names_itself_in_callbacks=document.get("authorization_response_iss_parameter_supported") is True,
        )


def discovery_url(issuer: str) -> str:
    """Where an issuer's discovery document is (OpenID Connect Discovery, section 4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """The public keys for signatures in a key set; `ProviderUnreachable` when there is none."""
    keys = document.get("keys")
    usable = [
        key
        for key in (keys if isinstance(keys, list) else [])
        # A shared secret in a public place is nobody's; what we cannot read, another algorithm's, we leave.
        if isinstance(key, dict) and key.get("kty") in {"RSA", "EC"} and key.get("use", "sig") == "sig"
    ]
    try:
        if usable:
            return KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError, TypeError):
        pass
    raise ProviderUnreachable("the provider's key set has no public key for signatures")


class _Memory(Generic[Kept]):
    """What was learned, with the time; the one that was learned first is forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Kept]] = OrderedDict()

    def younger_than(self, seconds: float, issuer: str) -> Kept | None:
        with self._lock:
            learned_at, value = self._kept.get(issuer, (float("-inf"), None))
        return value if time.monotonic() - learned_at < seconds else None

    def keep(self, issuer: str, value: Kept) -> Kept:
        with self._lock:
            self._kept.pop(issuer, None)
            self._kept[issuer] = (time.monotonic(), value)
            while len(self._kept) > _ISSUERS:
                self._kept.popitem(last=False)
        return value
