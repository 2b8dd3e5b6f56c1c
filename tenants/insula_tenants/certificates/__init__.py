"""Certificates of devices: an authority for each tenant, and what it issues and takes back."""

from insula_tenants.certificates.models import CertificateAuthority, DeviceCertificate
from insula_tenants.certificates.service import (
    CertificateView,
    Holder,
    Issued,
    Reason,
    Trusted,
    authority_of,
    current_crl,
    ended_since,
    holder_of,
    holders_in,
    issue,
    list_certificates,
    revoke_certificate,
    revoke_device,
    trusted,
)

__all__ = [
    "CertificateAuthority",
    "CertificateView",
    "DeviceCertificate",
    "Holder",
    "Issued",
    "Reason",
    "Trusted",
    "authority_of",
    "current_crl",
    "ended_since",
    "holder_of",
    "holders_in",
    "issue",
    "list_certificates",
    "revoke_certificate",
    "revoke_device",
    "trusted",
]
