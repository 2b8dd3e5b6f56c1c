"""What part of a tenant a subject's grant covers: the whole of it, or some of its places.

A list keeps to `visible_spaces`, what names a space or a device is checked, and what belongs to the tenant as
a whole is for those who have the whole of it. What a grant does not cover looks like what is not there.
"""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.access.policy import InSpace, Resource, Subject, WholeTenant, can
from insula_platform.access.requests import Access
from insula_tenants.devices import Device
from insula_tenants.errors import InvalidInput, NotAllowed, NotFound
from insula_tenants.spaces import covered_spaces, covered_spaces_async


def visible_spaces(access: Access, session: Session) -> frozenset[int] | None:
    """The ids of the spaces that the grant covers; None when it covers the whole tenant."""
    return covered_spaces(session, access.places) if access.places else None


async def visible_spaces_async(access: Access, connection: AsyncConnection[DictRow]) -> frozenset[int] | None:
    """`visible_spaces` on a connection of `AsyncDatabases.tenant`."""
    return await covered_spaces_async(connection, access.places) if access.places else None


def check_space(access: Access, session: Session, space_id: int | None) -> None:
    """`NotFound` for a space that the grant does not cover, as for one that does not exist.

    None stands for no space in particular: `InvalidInput` when the grant covers a part of the tenant only.
    """
    if not access.places:
        return
    if _may(access, visible_spaces(access, session), InSpace(access.context.id, space_id)):
        return
    if space_id is None:
        raise InvalidInput("space_id", "say in which space: your grant covers some of them")
    raise NotFound(f"there is no space {space_id}")


def check_device(access: Access, session: Session, slug: str) -> None:
    """`NotFound` for a device in a space that the grant does not cover, as for one that does not exist.

    Of who has the whole tenant nothing is asked: whether the device exists is the caller's to find out.
    """
    if not access.places:
        return
    row = session.execute(select(Device.space_id).where(Device.slug == slug)).one_or_none()
    if row is None or not _may(
        access, visible_spaces(access, session), InSpace(access.context.id, row.space_id)
    ):
        raise NotFound(f"there is no device {slug!r}")


def check_whole_tenant(access: Access) -> None:
    """`NotAllowed` for a grant that covers a part of the tenant only."""
    if not _may(access, frozenset() if access.places else None, WholeTenant(access.context.id)):
        raise NotAllowed("this belongs to the whole tenant, and your grant covers a part of it: ask an admin")


def _may(access: Access, spaces: frozenset[int] | None, resource: Resource) -> bool:
    subject = Subject(access.context.id, access.scopes, spaces)
    return all(can(subject, action, resource) for action in access.needed)
