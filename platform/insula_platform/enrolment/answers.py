"""What a device that was let in is told."""

from __future__ import annotations

from insula_platform.devices.answers import broker_of, secrets_of, snippets_of, topics_of
from insula_platform.devices.snippets import qr_code, tell
from insula_platform.enrolment.schemas import LetIn
from insula_platform.state import Platform
from insula_tenants.context import TenantContext
from insula_tenants.devices import list_points


def let_in(
    platform: Platform, context: TenantContext, device: str, username: str | None, password: str
) -> LetIn:
    """The device's login, and how to use it; `username` None for its first."""
    with platform.databases.tenant(context) as session:
        points = list_points(session, device=device, limit=200)
    told = tell(platform.settings, context.slug, device, points, username=username, password=password)
    secrets, qr = secrets_of(told), qr_code(told)
    assert secrets is not None and qr is not None  # noqa: S101, PT018 - there is a password
    return LetIn(
        tenant=context.slug,
        device=device,
        credentials=secrets,
        broker=broker_of(told),
        topics=topics_of(told),
        snippets=snippets_of(told),
        qr=qr,
    )
