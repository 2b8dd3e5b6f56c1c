"""`…/devices/{device}/certificates`, `…/certificate-authority`, and `/pki/{key_id}.crl`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy import select

from insula_platform.access import Access, Requires, check_device, check_whole_tenant
from insula_platform.certificates.schemas import Authority, Certificate, NewCertificate, Request, Revocation
from insula_platform.certificates.service import authorities_seal, crl_url, issue_certificate
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.certificates import (
    authority_of,
    current_crl,
    list_certificates,
    revoke_certificate,
)
from insula_tenants.devices import Device
from insula_tenants.errors import NotFound

router = APIRouter(prefix="/api/v1/tenants/{tenant}", tags=["Certificates"], responses=PROBLEM_RESPONSES)
lists = APIRouter(tags=["Certificates"])

DeviceSlug = Annotated[str, Path(description="The device's id.", examples=["room-1-door"], max_length=40)]
Serial = Annotated[
    str, Path(description="Serial number in hexadecimal.", pattern="^[0-9a-f]{1,40}$", examples=["5f1c"])
]
KeyId = Annotated[
    str, Path(description="The authority's key identifier.", pattern="^[0-9a-f]{40}$", examples=["8d" * 20])
]


@router.post("/devices/{device}/certificates", status_code=201, responses=problem_responses(404, 409, 422))
def post_certificate(
    access: Annotated[Access, Requires("devices:write")],
    platform: CurrentPlatform,
    device: DeviceSlug,
    request: Request,
) -> NewCertificate:
    """Sign a device's request. The device renews its certificate by itself from then on."""
    _check(access, platform, device)
    issued = issue_certificate(
        platform.settings, platform.databases, access.context, device, request.csr, actor=access.actor
    )
    return NewCertificate.model_validate(issued)


@router.get("/devices/{device}/certificates", responses=problem_responses(404))
def get_certificates(
    access: Annotated[Access, Requires("devices:read")], platform: CurrentPlatform, device: DeviceSlug
) -> list[Certificate]:
    """The newest hundred certificates of a device, newest first."""
    _check(access, platform, device)
    with platform.databases.core() as core:
        return [Certificate.model_validate(one) for one in list_certificates(core, access.context, device)]


@router.post(
    "/devices/{device}/certificates/{serial}/revoke", status_code=204, responses=problem_responses(404, 422)
)
def post_revocation(
    access: Annotated[Access, Requires("devices:write")],
    platform: CurrentPlatform,
    device: DeviceSlug,
    serial: Serial,
    revocation: Revocation,
) -> None:
    """Take a certificate back: within seconds the broker ends its session and refuses it."""
    _check(access, platform, device)
    with platform.databases.core() as core:
        revoke_certificate(core, access.context, device, serial, revocation.reason, actor=access.actor)


@router.get("/certificate-authority")
def get_authority(
    access: Annotated[Access, Requires("devices:read")], platform: CurrentPlatform
) -> Authority:
    """The authority that signs the tenant's certificates; it is made when it is first asked for."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        row = authority_of(core, authorities_seal(platform.settings), access.context, actor=access.actor)
        return Authority(
            key_id=row.key_id, certificate=row.certificate, crl=crl_url(platform.settings, row.key_id)
        )


@lists.get(
    "/pki/{key_id}.crl",
    response_class=Response,
    responses={**problem_responses(404, 422), 200: {"content": {"application/pkix-crl": {}}}},
)
def get_crl(platform: CurrentPlatform, key_id: KeyId) -> Response:
    """An authority's list of revoked certificates (RFC 5280) in DER. It is public: no token is needed."""
    with platform.databases.core() as core:
        crl = current_crl(core, authorities_seal(platform.settings), key_id)
    return Response(crl, media_type="application/pkix-crl", headers={"Cache-Control": "max-age=60"})


def _check(access: Access, platform: Platform, device: str) -> None:
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        if session.scalar(select(Device.id).where(Device.slug == device)) is None:
            raise NotFound(f"there is no device {device!r}")
