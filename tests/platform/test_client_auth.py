"""How clients prove who they are: a signature of their own (RFC 7523), and native apps that cannot at all."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import func, select

from insula_platform.oauth.client_keys import check_jwks
from insula_platform.oauth.models import Client, ClientAssertion, ClientSecret, fingerprint
from insula_tenants.errors import InvalidInput
from tests.platform.conftest import Authorization, Browser, Live

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
SIGNERS = [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519")]


@dataclass
class Signer:
    """A client that signs."""

    live: Live
    client_id: str

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        said = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{self.live.url}/oauth/token",
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
        }
        return {name: value for name, value in (said | changes).items() if value is not None}

    def assertion(self, key: Any = EC, alg: str = "ES256", kid: str | None = "", **changes: Any) -> str:
        header = {"alg": alg} | ({} if kid is None else {"kid": kid or key.kid})
        return jwt.encode(header, self.claims(**changes), key, [alg])

    def send(self, assertion: str, **form: str) -> httpx.Response:
        return self.live.token_request(
            None,
            **{
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }
            | form,
        )


def add_client(live: Live, client_id: str, **fields: Any) -> None:
    with live.deployment.databases.core() as core:
        core.add(
            Client(
                **{
                    "client_id": client_id,
                    "tenant_id": live.deployment.acme.id,
                    "name": client_id,
                    "grant_types": ["client_credentials"],
                    "scope": "readings:read",
                }
                | fields
            )
        )


@pytest.fixture(scope="module")
def signer(live: Live) -> Signer:
    """A client with a key of each kind."""
    jwks = check_jwks("jwks", {"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]})
    add_client(live, "signer", auth_method="private_key_jwt", jwks=jwks)
    add_client(live, "other-signer", auth_method="private_key_jwt", jwks=jwks)
    return Signer(live, "signer")


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "alg"), SIGNERS)
def test_a_signature_takes_the_place_of_a_secret(live: Live, signer: Signer, key: Any, alg: str):
    for audience in (live.url, f"{live.url}/oauth/token", [live.url, "https://other.example"]):
        answer = signer.send(signer.assertion(key, alg, aud=audience))
        assert answer.status_code == 200, answer.text
    tokens = signer.send(signer.assertion(key, alg), client_id="signer").json()
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).json()["client"] == "signer"


def test_the_older_name_of_ed25519_is_understood(signer: Signer):
    header, claims = {"alg": "EdDSA", "kid": "ed"}, signer.claims()
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    signature = ED.private_key.sign(text.encode())  # by hand: joserfc warns of the name
    assert signer.send(f"{text}.{encoded(signature)}").status_code == 200


def test_a_key_is_found_without_its_id(signer: Signer):
    assert signer.send(signer.assertion(kid=None)).status_code == 200


def test_rfc7523_3_an_assertion_is_good_once(live: Live, signer: Signer):
    assertion = signer.assertion()
    with ThreadPoolExecutor(8) as pool:
        answers = [each.result() for each in [pool.submit(signer.send, assertion) for _ in range(8)]]
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    assert {answer.json().get("error") for answer in answers} == {None, "invalid_client"}


def test_the_same_id_from_another_client_is_another_assertion(live: Live, signer: Signer):
    other = Signer(live, "other-signer")
    assert signer.send(signer.assertion(jti="one")).status_code == 200
    assert other.send(other.assertion(jti="one")).status_code == 200
    assert other.send(other.assertion(jti="one")).status_code == 401


def test_what_expired_is_not_remembered(live: Live, signer: Signer):
    """The leeway counts: what would still be believed is still remembered."""
    now = int(time.time())
    assert signer.send(signer.assertion(jti="late", exp=now - 10)).status_code == 200
    assert signer.send(signer.assertion(jti="late", exp=now - 10)).status_code == 401
    with live.deployment.databases.core() as core:
        core.query(ClientAssertion).update({"expires_at": func.now()})
    assert signer.send(signer.assertion()).status_code == 200
    with live.deployment.databases.core() as core:
        kept = select(func.count()).where(ClientAssertion.client_id == "signer")
        assert core.scalar(kept) == 1


NOW = int(time.time())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": "https://evil.example"}, id="another audience"),
        pytest.param({"aud": ""}, id="no audience"),
        pytest.param({"aud": None}, id="audience missing"),
        pytest.param({"aud": 1}, id="audience a number"),
        pytest.param({"iss": "other-signer"}, id="another issuer"),
        pytest.param({"iss": None}, id="issuer missing"),
        pytest.param({"sub": None}, id="subject missing"),
        pytest.param({"sub": ["signer"]}, id="subject a list"),
        pytest.param({"sub": "nobody", "iss": "nobody"}, id="unknown client"),
        pytest.param({"sub": "insula-ui", "iss": "insula-ui"}, id="a client with a secret"),
        pytest.param({"exp": None}, id="never expires"),
        pytest.param({"exp": "soon"}, id="expiry as text"),
        pytest.param({"exp": NOW - 3600}, id="expired"),
        pytest.param({"exp": NOW + 86_400}, id="expires tomorrow"),
        pytest.param({"exp": 10**400}, id="expires never, in figures"),
        pytest.param({"nbf": NOW + 3600}, id="not yet"),
        pytest.param({"iat": NOW + 3600}, id="made later"),
        pytest.param({"jti": None}, id="no id"),
        pytest.param({"jti": ""}, id="empty id"),
        pytest.param({"jti": 1}, id="id a number"),
        pytest.param({"jti": "j" * 300}, id="id too long"),
    ],
)
def test_rfc7523_3_claims_that_do_not_fit_are_refused(signer: Signer, changes: dict[str, Any]):
    answer = signer.send(signer.assertion(**changes))
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client", "error_description": "Client authentication failed."}


def test_no_algorithm_but_that_of_the_key_is_believed(signer: Signer):
    payload = encoded(json.dumps(signer.claims()).encode())
    public = RSA.as_pem(private=False)

    def forged(header: dict[str, Any], sign: Any = lambda _: b"") -> str:
        text = f"{encoded(json.dumps(header).encode())}.{payload}"
        return f"{text}.{encoded(sign(text.encode()))}"

    def by_public_key(text: bytes) -> bytes:
        return hmac.digest(public, text, "sha256")

    assertions = {
        "none": forged({"alg": "none"}),
        "none, oddly": forged({"alg": "nOnE", "kid": "rsa"}),
        "HS256 by the public key": forged({"alg": "HS256", "kid": "rsa"}, by_public_key),
        "HS256 by the public JWK": forged(
            {"alg": "HS256", "kid": "ec"},
            lambda text: hmac.digest(json.dumps(EC.as_dict(private=False)).encode(), text, "sha256"),
        ),
        "an algorithm as a list": forged({"alg": ["ES256"], "kid": "ec"}),
        "no algorithm": forged({"kid": "ec"}),
        "a key id as a list": forged({"alg": "ES256", "kid": ["ec"]}),
        "a stranger's key": signer.assertion(STRANGER, "RS256"),
        "a key of another kind": signer.assertion(EC, "ES256", kid="rsa"),
        "an unknown key": signer.assertion(EC, "ES256", kid="unknown"),
        "RS512": signer.assertion(RSA, "RS512"),
        "a key in the header": jwt.encode(
            {"alg": "RS256", "kid": "rsa", "jwk": STRANGER.as_dict(private=False)},
            signer.claims(),
            STRANGER,
            ["RS256"],
        ),
        "a key by its address": jwt.encode(
            {"alg": "RS256", "jku": "http://127.0.0.1:1/jwks.json", "kid": "rsa"},
            signer.claims(),
            STRANGER,
            ["RS256"],
        ),
        "two dots": "..",
        "no JWT": "x",
        "not ASCII": "é.é.é",
    }
    for name, assertion in assertions.items():
        answer = signer.send(assertion)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), name
    assert signer.send(signer.assertion()).status_code == 200


def test_a_key_that_names_its_algorithm_takes_no_other(live: Live):
    key = RSA.as_dict(private=False) | {"alg": "PS256"}
    add_client(live, "strict", auth_method="private_key_jwt", jwks=check_jwks("jwks", {"keys": [key]}))
    strict = Signer(live, "strict")
    assert strict.send(strict.assertion(RSA, "PS256")).status_code == 200
    assert strict.send(strict.assertion(RSA, "RS256")).status_code == 401


def test_rfc7521_4_2_the_client_id_beside_an_assertion_is_the_same(signer: Signer):
    assert signer.send(signer.assertion(), client_id="other-signer").status_code == 401
    other_type = signer.send(signer.assertion(), client_assertion_type="urn:ietf:params:oauth:saml2-bearer")
    assert other_type.status_code == 401


def test_rfc6749_2_3_a_client_proves_itself_in_one_way(live: Live, signer: Signer):
    client_id, secret = live.service
    form = {"grant_type": "client_credentials", "client_id": client_id}
    basic_and_form = live.token_request(live.service, **form, client_secret=secret)
    assert (basic_and_form.status_code, basic_and_form.json()["error"]) == (400, "invalid_request")
    both = live.token_request(
        live.service,
        **form,
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=signer.assertion(),
    )
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


def test_who_signs_has_no_secret_and_who_has_a_secret_does_not_sign(live: Live, signer: Signer):
    for secret in ("", "x"):
        refused = live.token_request(("signer", secret), grant_type="client_credentials")
        assert refused.json()["error"] == "invalid_client"
    refused = live.token_request(None, grant_type="client_credentials", client_id="signer")
    assert refused.json()["error"] == "invalid_client"


def test_a_disabled_client_signs_in_vain(live: Live):
    jwks = check_jwks("jwks", {"keys": [EC.as_dict(private=False)]})
    add_client(live, "gone", auth_method="private_key_jwt", jwks=jwks, disabled_at=func.now())
    gone = Signer(live, "gone")
    assert gone.send(gone.assertion()).json()["error"] == "invalid_client"


def rsa(bits: int) -> dict[str, Any]:
    modulus = ((1 << bits) - 1).to_bytes(bits // 8, "big")
    return RSA.as_dict(private=False) | {"n": encoded(modulus)}


@pytest.mark.parametrize(
    ("keys", "field", "advice"),
    [
        (None, "jwks", "JWK Set"),
        ([], "jwks", "JWK Set"),
        ([EC.as_dict(private=False)] * 11, "jwks", "JWK Set"),
        ([EC.as_dict(private=False)] * 2, "jwks", "kid of its own"),
        (["x"], "jwks.keys.0", "kty"),
        ([{"kty": "oct", "k": "AAAA", "kid": "x"}], "jwks.keys.0", "kty"),
        ([EC.as_dict(private=False), RSA.as_dict(private=True)], "jwks.keys.1", "private key"),
        ([{"kty": "oct", "k": "AAAA"} | {"kty": "RSA"}], "jwks.keys.0", "private key"),
        ([EC.as_dict(private=False) | {"kid": ""}], "jwks.keys.0.kid", "id"),
        ([EC.as_dict(private=False) | {"kid": 1}], "jwks.keys.0.kid", "id"),
        ([EC.as_dict(private=False) | {"use": "enc"}], "jwks.keys.0.use", "sig"),
        ([EC.as_dict(private=False) | {"alg": "RS256"}], "jwks.keys.0.alg", "ES256"),
        ([EC.as_dict(private=False) | {"alg": ["ES256"]}], "jwks.keys.0.alg", "ES256"),
        ([EC.as_dict(private=False) | {"x": "AAAA"}], "jwks.keys.0", "no EC key"),
        ([EC.as_dict(private=False) | {"y": None}], "jwks.keys.0", "no EC key"),
        ([ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=False)], "jwks.keys.0.crv", "P-256"),
        ([OKPKey.generate_key("X25519", {"kid": "x"}).as_dict(private=False)], "jwks.keys.0.crv", "Ed25519"),
        ([rsa(1024)], "jwks.keys.0.n", "2048 to 4096"),
        ([rsa(8192)], "jwks.keys.0.n", "2048 to 4096"),
        ([rsa(2048) | {"n": "é"}], "jwks.keys.0.n", "2048 to 4096"),
        ([rsa(2048) | {"e": "Aw"}], "jwks.keys.0.e", "65537"),
    ],
)
def test_only_public_keys_that_can_be_trusted_are_kept(keys: Any, field: str, advice: str):
    with pytest.raises(InvalidInput, match=advice) as caught:
        check_jwks("jwks", {"keys": keys})
    assert caught.value.field == field


def test_nothing_but_the_key_is_kept():
    given = ED.as_dict(private=False) | {"alg": "EdDSA", "x5u": "https://evil.example", "note": "hello"}
    kept = {"kty": "OKP", "kid": "ed", "use": "sig", "alg": "Ed25519", "crv": "Ed25519", "x": given["x"]}
    assert check_jwks("jwks", {"keys": [given]}) == {"keys": [kept]}


@pytest.fixture(scope="module")
def native(live: Live) -> str:
    """An app on people's own machines: the operator's, so that nobody is asked for consent here."""
    add_client(
        live,
        "native-app",
        auth_method="none",
        application_type="native",
        first_party=True,
        grant_types=["authorization_code", "refresh_token"],
        redirect_uris=["http://127.0.0.1/callback"],
    )
    return "native-app"


def test_a_native_app_has_pkce_alone_and_takes_any_port(live: Live, native: str):
    address = "http://127.0.0.1:49152/callback"
    asked = Authorization(live, client_id=native, redirect_uri=address, scope="readings:read")
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": native,
        "code": code,
        "redirect_uri": address,
        "code_verifier": asked.verifier,
    }
    # The port is free to choose, once: the code is good for the address that was chosen.
    for changes in ({"redirect_uri": "http://127.0.0.1:1/callback"}, {"code_verifier": "w" * 64}):
        assert live.token_request(None, **form | changes).json()["error"] == "invalid_grant"
    tokens = live.token_request(None, **form).json()
    assert live.get("/api/v1/tenants/acme/probe", tokens["access_token"]).status_code == 200

    def refresh(token: str) -> httpx.Response:
        return live.token_request(None, grant_type="refresh_token", refresh_token=token, client_id=native)

    following = refresh(tokens["refresh_token"]).json()
    assert refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(following["refresh_token"]).json()["error"] == "invalid_grant", "reuse ends the family"


def test_a_native_app_never_acts_for_itself(live: Live, native: str):
    refused = live.token_request(None, grant_type="client_credentials", client_id=native)
    assert refused.json()["error"] == "invalid_client"


def test_without_a_secret_nobody_passes_for_a_client_that_has_one(live: Live):
    asked = Authorization(live)
    with Browser(live) as browser:
        code = browser.authorize(asked, "ada@example.com")["code"]
    refused = live.token_request(
        None,
        grant_type="authorization_code",
        client_id="insula-ui",
        code=code,
        redirect_uri=asked.parameters["redirect_uri"],
        code_verifier=asked.verifier,
    )
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("secret", ["a b+c%41:ü", "%zz and + and %2B", "plain"])
@pytest.mark.parametrize("encoded", [True, False])
def test_rfc_6749_section_2_3_1_basic_credentials_are_encoded_as_in_a_form(
    live: Live, secret: str, encoded: bool
):
    """Those of clients that encode nothing are understood all the same."""
    client_id = f"basic-{uuid4().hex}"
    add_client(live, client_id, secrets=[ClientSecret(secret_hash=fingerprint(secret))])

    def ask(name: str, given: str) -> int:
        pair = f"{quote_plus(name)}:{quote_plus(given)}" if encoded else f"{name}:{given}"
        header = {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        with live.client() as http:
            form = {"grant_type": "client_credentials"}
            return http.post("/oauth/token", data=form, headers=header).status_code

    assert ask(client_id, secret) == 200
    assert ask(client_id, f"{secret}x") == 401
    assert ask(client_id, "") == 401
    assert ask("nobody\x00", secret) == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!", "Basic eA==", "Basic /w==", "Basic Og==", "Bearer x:y"]
)
def test_credentials_that_cannot_be_read_are_refused(live: Live, header: str):
    with live.client() as http:
        answer = http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": header}
        )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
