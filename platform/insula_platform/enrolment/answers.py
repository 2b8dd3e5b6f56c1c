"""What a device that was let in is told."""

from __future__ import annotations

from insula_platform.certificates.schemas import NewCertificate
from insula_platform.certificates.service import issue_certificate
from insula_platform.devices.answers import broker_of, secrets_of, snippets_of, topics_of
from insula_platform.devices.snippets import qr_code, tell
from insula_platform.enrolment.schemas import LetIn
from insula_platform.state import Platform
from insula_tenants.audit import Actor
from insula_tenants.certificates.authority import read_request
from insula_tenants.context import TenantContext
from insula_tenants.devices import list_points
from insula_tenants.errors import InvalidInput


def check_request(platform: Platform, csr: str | None) -> None:
    """`InvalidInput` where devices sign in with certificates and this is no request for one.

    To be called before a code is used up, or a device made, for who could not be given a certificate then.
    """
    if platform.broker.takes != "certificate":
        return
    if csr is None:
        raise InvalidInput(
            "csr",
            "devices sign in with certificates here: send a certificate signing request in PEM, made with "
            "`openssl req -new -key …`",
        )
    read_request(csr)


def let_in(
    platform: Platform,
    context: TenantContext,
    device: str,
    username: str | None,
    password: str,
    *,
    csr: str | None,
    actor: Actor,
) -> LetIn:
    """The device's login, and how to use it; `username` None for its first.

    Where devices sign in with certificates, `csr` is signed, and the password is told to nobody.
    """
    certificate, told_password = None, None
    if platform.broker.takes == "certificate":
        issued = issue_certificate(
            platform.settings, platform.databases, context, device, csr or "", actor=actor
        )
        certificate = NewCertificate.model_validate(issued)
    else:
        told_password = password
    with platform.databases.tenant(context) as session:
        points = list_points(session, device=device, limit=200)
    told = tell(platform.settings, context.slug, device, points, username=username, password=told_password)
    return LetIn(
        tenant=context.slug,
        device=device,
        credentials=secrets_of(told),
        certificate=certificate,
        broker=broker_of(told),
        topics=topics_of(told),
        snippets=snippets_of(told),
        qr=qr_code(told),
    )
