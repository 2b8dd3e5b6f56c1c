"""Certificates as such: an authority, a device's certificate, a list of revoked ones (RFC 5280).

A device's name is the platform's to give. Of a request for a certificate only the key is taken, when its
signature proves that the device holds it; what else the request says of names or rights is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from insula_tenants.broker.x509 import certificate_name
from insula_tenants.errors import InvalidInput

AUTHORITY_LIFETIME = timedelta(days=3652)
CRL_LIFETIME = timedelta(days=7)
"""After which a broker trusts no certificate of the tenant any more: the list is made anew long before."""
CLOCKS_DIFFER = timedelta(minutes=10)
"""How far the clock of a device, or of a broker, may be behind."""

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS = range(2048, 4097)

DeviceKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority's certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def key_id(self) -> str:
        """Its subject key identifier, in hexadecimal."""
        extension = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return extension.value.digest.hex()

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    def private_pem(self) -> bytes:
        """Its key, in the clear: to be sealed."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @staticmethod
    def load(certificate: str, private_pem: bytes) -> Authority:
        """What `pem` and `private_pem` wrote."""
        key = load_pem_private_key(private_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
        return Authority(x509.load_pem_x509_certificate(certificate.encode("ascii")), key)


class Revoked(NamedTuple):
    """A certificate that is not good any more."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags


def make_authority(tenant_slug: str) -> Authority:
    """A new authority for one tenant's devices.

    It may sign nothing but certificates of this tenant: whoever checks one knows from the constraints on its
    names. Mosquitto looks at the common name alone, which no constraint reaches; that only the platform signs
    is what its trust rests on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    tenant = x509.NameAttribute(NameOID.ORGANIZATION_NAME, tenant_slug)
    name = x509.Name([tenant, x509.NameAttribute(NameOID.COMMON_NAME, f"{tenant_slug} devices")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(
            x509.NameConstraints(
                permitted_subtrees=[
                    x509.DirectoryName(x509.Name([tenant])),
                    x509.UniformResourceIdentifier(tenant_slug),
                ],
                excluded_subtrees=None,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def read_request(pem: str) -> DeviceKey:
    """The key of a certificate signing request (PKCS #10, in PEM) whose sender holds its private part.

    `InvalidInput` for what is no such request, is not signed by that key, or has a key that is too weak.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        proven = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidInput(
            "csr", "this is no certificate signing request in PEM: make one with `openssl req -new -key …`"
        ) from None
    if not proven:
        raise InvalidInput("csr", "the request is not signed by its own key: sign it with the private key")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise InvalidInput(
        "csr",
        "the key cannot be used: take one on the curve P-256, P-384 or P-521, Ed25519, or RSA from 2048 bits",
    )


def sign_device(
    authority: Authority,
    tenant_slug: str,
    device_slug: str,
    key: DeviceKey,
    *,
    lifetime: timedelta,
    crl_url: str,
) -> x509.Certificate:
    """A certificate with which the device may sign in to the broker, and do nothing else."""
    now = datetime.now(UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, tenant_slug),
            x509.NameAttribute(NameOID.COMMON_NAME, certificate_name(tenant_slug, device_slug)),
        ]
    )
    identity = x509.UniformResourceIdentifier(f"insula://{tenant_slug}/devices/{device_slug}")
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(min(now + lifetime, authority.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([identity]), critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issuer_key(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def make_crl(authority: Authority, number: int, revoked: Iterable[Revoked]) -> bytes:
    """The authority's list of revoked certificates, in DER."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCKS_DIFFER)
        .next_update(now + CRL_LIFETIME)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issuer_key(authority), critical=False)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(one.serial)
            .revocation_date(one.at)
            .add_extension(x509.CRLReason(one.reason), critical=False)
            .build()
        )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _issuer_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    """That of an authority, or of a device."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
