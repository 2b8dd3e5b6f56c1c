"""Certificates of devices: what is signed, for whom, and how it is taken back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from insula_tenants.audit import SYSTEM as ACTOR
from insula_tenants.broker.x509 import access_file, certificate_name, parse_certificate_name
from insula_tenants.certificates import (
    authority_of,
    current_crl,
    holder_of,
    issue,
    list_certificates,
    revoke_certificate,
    revoke_device,
    trusted,
)
from insula_tenants.certificates.authority import make_authority, sign_device
from insula_tenants.context import TenantContext
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from tests.conftest import Deployment
from tests.servers.certificates import csr_of

SEAL = Fernet(Fernet.generate_key())
DAY = timedelta(days=1)


@pytest.fixture
def sign(deployment: Deployment) -> Callable[..., x509.Certificate]:
    def sign(
        device: str, csr: str | None = None, context: TenantContext = deployment.acme
    ) -> x509.Certificate:
        with deployment.databases.core() as core:
            issued = issue(
                core,
                SEAL,
                context,
                device,
                csr_of(ec.generate_private_key(ec.SECP256R1())) if csr is None else csr,
                lifetime=30 * DAY,
                crl_url=lambda key_id: f"https://insula.example.com/pki/{key_id}.crl",
                actor=ACTOR,
            )
        return x509.load_pem_x509_certificate(issued.certificate.encode())

    return sign


def common_name(certificate: x509.Certificate) -> str:
    (found,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found.value)


def verified(directory: Path, certificate: x509.Certificate, *more: str, authority: str) -> str:
    """What OpenSSL says of it."""
    (directory / "ca.pem").write_text(authority)
    (directory / "leaf.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", *more]
    done = subprocess.run([*command, "leaf.pem"], cwd=directory, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_platform_names_the_device_and_not_its_request(
    deployment: Deployment, sign: Callable[..., x509.Certificate], tmp_path: Path
):
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign("named-1", csr_of(key, "globex/devices/named-1", ca=True))
    assert common_name(certificate) == "acme/devices/named-1"
    assert certificate.public_key() == key.public_key()
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["insula://acme/devices/named-1"]
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    with deployment.databases.core() as core:
        authority = authority_of(core, SEAL, deployment.acme, actor=ACTOR).certificate
    assert verified(tmp_path, certificate, authority=authority) == "leaf.pem: OK\n"


def test_a_tenants_authority_cannot_vouch_for_another_tenants_device(tmp_path: Path):
    authority = make_authority("acme")
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for tenant, says in (("acme", "leaf.pem: OK"), ("globex", "permitted subtree violation")):
        certificate = sign_device(authority, tenant, "lamp-1", key, lifetime=DAY, crl_url="http://x/y.crl")
        assert says in verified(tmp_path, certificate, authority=authority.pem)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "Ed25519", "RSA"],
)
def test_usual_keys_are_taken(sign: Callable[..., x509.Certificate], key: object):
    assert sign("usual-1", csr_of(key)).public_key() == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP192R1()),
        dsa.generate_private_key(2048),
    ],
    ids=["RSA of 1024 bits", "P-192", "DSA"],
)
def test_weak_and_odd_keys_are_not(sign: Callable[..., x509.Certificate], key: object):
    with pytest.raises(InvalidInput, match="the key cannot be used"):
        sign("weak-1", csr_of(key))


def test_only_who_holds_the_key_gets_a_certificate_for_it(sign: Callable[..., x509.Certificate]):
    thief, owner = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = x509.load_pem_x509_csr(csr_of(thief).encode()).public_bytes(Encoding.DER)
    points = [
        key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for key in (thief, owner)
    ]
    forged = x509.load_der_x509_csr(request.replace(*points))
    with pytest.raises(InvalidInput, match="not signed by its own key"):
        sign("stolen-1", forged.public_bytes(Encoding.PEM).decode())
    for nonsense in (
        "",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
        "\0",
    ):
        with pytest.raises(InvalidInput, match="no certificate signing request"):
            sign("stolen-1", nonsense)


def test_what_is_revoked_is_on_the_list_and_has_no_holder_any_more(
    deployment: Deployment, sign: Callable[..., x509.Certificate], tmp_path: Path
):
    kept, gone = sign("list-1"), sign("list-1")
    with deployment.databases.core() as core:
        row = authority_of(core, SEAL, deployment.acme, actor=ACTOR)
        key_id, authority = row.key_id, row.certificate
        before = x509.load_der_x509_crl(current_crl(core, SEAL, key_id))
        assert current_crl(core, SEAL, key_id) == before.public_bytes(Encoding.DER)  # none is made in vain
        assert holder_of(core, gone) == ("acme", "list-1")
        serial = f"{gone.serial_number:x}"
        for _ in range(2):
            revoke_certificate(core, deployment.acme, "list-1", serial, "key_compromise", actor=ACTOR)
    with deployment.databases.core() as core:
        after = x509.load_der_x509_crl(current_crl(core, SEAL, key_id))
        assert holder_of(core, kept) == ("acme", "list-1")
        with pytest.raises(NotFound):
            holder_of(core, gone)
        states = [(one.serial, one.reason) for one in list_certificates(core, deployment.acme, "list-1")]
    assert states == [(serial, "key_compromise"), (f"{kept.serial_number:x}", None)]
    entry = after.get_revoked_certificate_by_serial_number(gone.serial_number)
    assert entry is not None
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        is x509.ReasonFlags.key_compromise
    )
    assert after.get_revoked_certificate_by_serial_number(kept.serial_number) is None
    numbers = [
        one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (before, after)
    ]
    assert numbers[1] == numbers[0] + 1
    (tmp_path / "crl.pem").write_bytes(after.public_bytes(Encoding.PEM))
    check = ("-crl_check", "-CRLfile", "crl.pem")
    assert "certificate revoked" in verified(tmp_path, gone, *check, authority=authority)
    assert verified(tmp_path, kept, *check, authority=authority) == "leaf.pem: OK\n"


def test_a_device_has_a_few_certificates_at_a_time(
    deployment: Deployment, sign: Callable[..., x509.Certificate]
):
    for _ in range(5):
        sign("many-1")
    with pytest.raises(Conflict, match="5 valid certificates"):
        sign("many-1")
    sign("other-1")
    with deployment.databases.core() as core:
        assert revoke_device(core, deployment.acme, "many-1") == 5
        assert revoke_device(core, deployment.acme, "many-1") == 0
    sign("many-1")


def test_a_neighbours_certificate_is_not_seen_and_not_revoked(
    deployment: Deployment, sign: Callable[..., x509.Certificate]
):
    mine = sign("shared-1")
    theirs = sign("shared-1", context=deployment.globex)
    serial = f"{theirs.serial_number:x}"
    with deployment.databases.core() as core:
        with pytest.raises(NotFound):
            revoke_certificate(core, deployment.acme, "shared-1", serial, "unspecified", actor=ACTOR)
        assert [one.serial for one in list_certificates(core, deployment.acme, "shared-1")] == [
            f"{mine.serial_number:x}"
        ]
        revoke_device(core, deployment.acme, "shared-1")
        assert holder_of(core, theirs) == ("globex", "shared-1")
    assert mine.issuer != theirs.issuer


def test_a_closed_tenants_authority_is_trusted_no_more(
    deployment: Deployment, sign: Callable[..., x509.Certificate]
):
    for context in (deployment.acme, deployment.globex):
        sign("trusted-1", context=context)

    def tenants() -> list[str]:
        with deployment.databases.core() as core:
            return [one.tenant for one in trusted(core, SEAL)]

    assert tenants() == ["acme", "globex"]
    with deployment.databases.core() as core:
        suspend_tenant(core, "globex", "unpaid")
    assert tenants() == ["acme"]
    with deployment.databases.core() as core:
        resume_tenant(core, "globex")
    assert tenants() == ["acme", "globex"]


def test_the_registry_holds_no_private_key_in_the_clear(deployment: Deployment):
    with deployment.databases.core() as core:
        authority_of(core, SEAL, deployment.acme, actor=ACTOR)
        sealed = core.scalars(text("SELECT sealed_key FROM certificate_authorities")).all()
    assert sealed
    assert all(b"PRIVATE KEY" not in one and b"PRIVATE KEY" in SEAL.decrypt(one) for one in sealed)


def test_a_name_at_the_broker_is_one_devices_alone():
    assert parse_certificate_name(certificate_name("acme", "lamp-1")) == ("acme", "lamp-1", 1)
    for name in (
        "acme/lamp-1",
        "acme/devices/lamp-1/x",
        "acme/devices/+",
        "insula-ingest",
        "a/devices/b",
        "",
    ):
        assert parse_certificate_name(name) is None
    with pytest.raises(InvalidInput):
        certificate_name("acme", "lamp/../x")
    assert "pattern write tenants/%u/telemetry\n" in access_file()
    assert "$CONTROL" not in access_file()
