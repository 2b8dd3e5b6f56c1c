"""`GET …/devices/{device}/diagnostics`: why is my device silent?"""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from insula_platform.access import check_device
from insula_platform.devices.routes import DeviceId, Reader
from insula_platform.diagnostics import schemas
from insula_platform.presence.schemas import Presence
from insula_platform.problems import PROBLEM_RESPONSES
from insula_platform.state import CurrentPlatform
from insula_tenants.certificates import list_certificates
from insula_tenants.diagnostics.service import Certificate, Findings, collect
from insula_tenants.diagnostics.verdict import judge

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/devices/{device}/diagnostics",
    tags=["Diagnostics"],
    responses=PROBLEM_RESPONSES,
)


@router.get("")
def get_diagnostics(access: Reader, platform: CurrentPlatform, device: DeviceId) -> schemas.Diagnostics:
    """Everything that is known of the device's way to the platform, and a verdict in plain words.

    When the tenant is suspended this answers 403 `tenant-suspended`, like everything of the tenant: that is
    why its devices are silent.
    """
    now = datetime.now(UTC)
    with platform.databases.core() as core:
        good = [
            Certificate(one.serial, one.not_after)
            for one in list_certificates(core, access.context, device)
            if one.revoked_at is None and one.not_before <= now < one.not_after
        ]
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        found = collect(session, access.context.slug, device, certificates=good)
    return _shown(found)


def _shown(found: Findings) -> schemas.Diagnostics:
    return schemas.Diagnostics(
        device=found.device.id,
        at=found.at,
        verdict=schemas.Verdict.model_validate(judge(found)),
        presence=Presence.model_validate(found.presence),
        last_message_at=found.last_message_at,
        last_refusal=schemas.Refusal.model_validate(found.refusal) if found.refusal else None,
        dead_letters=[schemas.Letters.model_validate(one) for one in found.dead_letters],
        clock_offset=found.clock_offset,
        clock_offset_at=found.clock_offset_at,
        throttled=found.throttled,
        throttled_at=found.throttled_at,
        logins=[schemas.Login.model_validate(one) for one in found.credentials],
        certificates=[
            schemas.Certificate(serial=one.serial, expires_at=one.expires_at) for one in found.certificates
        ],
    )
