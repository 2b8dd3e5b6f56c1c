"""`…/devices/{device}/credentials`: the logins of a device, rotated and revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response

from insula_platform.access import check_device
from insula_platform.devices.routes import NOT_TOLD_YET, DeviceId, Reader, Writer, rotated
from insula_platform.devices.schemas import Credential, Rotated, Rotation
from insula_platform.devices.withdrawals import defer_withdrawal
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Page
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.certificates import CertificateView, list_certificates
from insula_tenants.devices import CredentialView, list_credentials
from insula_tenants.devices.rotation import Issued, revoke, rotate
from insula_tenants.errors import Conflict

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/devices/{device}/credentials",
    tags=["Devices"],
    responses=PROBLEM_RESPONSES,
)

Number = Annotated[int, Path(description="The login's number.", ge=1, lt=2**31, examples=[1])]


@router.get("")
def get_credentials(access: Reader, platform: CurrentPlatform, device: DeviceId) -> Page[Credential]:
    """All logins and certificates that the device has or had, newest first, without their secrets."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        passwords = list_credentials(session, access.context.slug, device)
    with platform.databases.core() as core:
        certificates = list_certificates(core, access.context, device)
    found = [_password(one) for one in passwords] + [_certificate(one) for one in certificates]
    return Page(items=sorted(found, key=lambda one: one.created_at, reverse=True))


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": Rotated, "description": "Made by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_credential(
    access: Writer,
    platform: CurrentPlatform,
    device: DeviceId,
    asked: Rotation,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Rotated:
    """Rotate: a new login, told this once; the present ones go on for `overlap` seconds.

    The new login has another user name and the same client id: give it to the device, see it connect, and let
    the old one end by itself, or revoke it. 409 for a device that is not in use.
    """
    context = access.context
    with platform.databases.tenant(context) as session:
        check_device(access, session, device)
    if platform.broker.takes == "certificate":
        raise Conflict(
            "devices sign in with certificates here: ask for one at …/devices/{device}/certificates"
        )
    with platform.databases.core() as core:
        operation = f"devices/{device}/credentials"
        once = Once(core, access, operation, idempotency_key, asked.model_dump(mode="json"))
        repeated = once.made is not None
        if once.made is not None:
            issued = _remembered(once.made)
            response.status_code = 200
        else:
            issued = rotate(
                core,
                platform.databases,
                platform.broker,
                context,
                device,
                overlap=timedelta(seconds=asked.overlap),
                actor=access.actor,
            )
            if issued.ends:
                defer_withdrawal(core, context, issued.ends_at)
            once.keep(_noted(issued))
    response.headers["Cache-Control"] = "no-store"
    return rotated(platform, access, device, issued, repeated=repeated)


@router.delete("/{number}", status_code=204, response_class=Response, responses=NOT_TOLD_YET)
def delete_credential(
    access: Writer, platform: CurrentPlatform, device: DeviceId, number: Number
) -> Response:
    """Revoke a login: it is refused from now on, and the session that is open by it is ended."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
    with platform.databases.core() as core:
        told = revoke(
            core,
            platform.databases,
            platform.broker,
            access.context,
            device,
            number,
            actor=access.actor,
        )
        if not told:
            defer_withdrawal(core, access.context)
    return Response(status_code=204 if told else 202)


def _password(view: CredentialView) -> Credential:
    return Credential(
        kind="password",
        number=view.number,
        username=view.username,
        serial=None,
        state=view.state,
        created_at=view.created_at,
        expires_at=view.expires_at,
        revoked_at=view.revoked_at,
    )


def _certificate(view: CertificateView) -> Credential:
    valid: Literal["good", "expired"] = "good" if view.not_after > datetime.now(UTC) else "expired"
    return Credential(
        kind="certificate",
        number=None,
        username=None,
        serial=view.serial,
        state="revoked" if view.revoked_at is not None else valid,
        created_at=view.not_before,
        expires_at=view.not_after,
        revoked_at=view.revoked_at,
    )


def _noted(issued: Issued) -> dict[str, Any]:
    """What is kept of a rotation: not the password."""
    return {
        "number": issued.number,
        "username": issued.username,
        "ends_at": issued.ends_at.isoformat() if issued.ends_at else None,
    }


def _remembered(body: dict[str, Any]) -> Issued:
    ends_at = datetime.fromisoformat(body["ends_at"]) if body["ends_at"] else None
    return Issued(body["number"], body["username"], "", ends_at=ends_at)
