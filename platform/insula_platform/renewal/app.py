"""The one route of the renewal server. TLS has checked that the device holds the certificate's key."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from fastapi import FastAPI, Request

from insula_platform import problems
from insula_platform.certificates.schemas import NewCertificate
from insula_platform.certificates.schemas import Request as CertificateRequest
from insula_platform.certificates.service import issue_certificate
from insula_platform.problems import problem_responses
from insula_platform.settings import PlatformSettings
from insula_tenants.audit import SYSTEM, Actor
from insula_tenants.certificates import holder_of, revoke_certificate
from insula_tenants.database import Databases
from insula_tenants.errors import NotAllowed, NotFound
from insula_tenants.registry import resolve_tenant

PEER = "peer_certificate"
"""Name in the connection's state of the client's certificate, in DER."""


def create_app(settings: PlatformSettings, databases: Databases) -> FastAPI:
    """The application."""
    app = FastAPI(title="Insula: renewal of certificates", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)

    @app.post("/renew", status_code=201, responses=problem_responses(403, 409, 422))
    def renew(request: Request, body: CertificateRequest) -> NewCertificate:
        """Sign the request of the device whose certificate this connection was made with.

        The one it has stays good until it expires, so that it loses nothing when it loses the new one.
        """
        state: dict[str, Any] = request.scope["state"]
        certificate = x509.load_der_x509_certificate(state[PEER])
        try:
            with databases.core() as core:
                tenant, device = holder_of(core, certificate)
                context = resolve_tenant(core, tenant)
        except NotFound as error:
            raise NotAllowed(error.detail) from None
        address = request.client.host if request.client else None
        issued = issue_certificate(
            settings,
            databases,
            context,
            device,
            body.csr,
            actor=Actor("client", f"{tenant}/{device}", address),
            renewed=True,
        )
        try:
            # Whoever revokes says so first: either that was heard above, or this look hears of it.
            with databases.core() as core:
                holder_of(core, certificate)
        except NotFound as error:
            with databases.core() as core:
                revoke_certificate(core, context, device, issued.serial, "unspecified", actor=SYSTEM)
            raise NotAllowed(error.detail) from None
        return NewCertificate.model_validate(issued)

    return app
