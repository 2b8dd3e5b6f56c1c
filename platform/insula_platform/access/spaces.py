"""What part of a tenant a subject's grant covers: the whole of it, or some of its buildings."""

from __future__ import annotations

from sqlalchemy.orm import Session

from insula_platform.access.requests import Access


def visible_spaces(access: Access, session: Session) -> frozenset[int] | None:  # noqa: ARG001
    """The ids of the spaces that the grant covers; None when it covers the whole tenant."""
    return None


def check_space(access: Access, session: Session, space_id: int | None) -> None:
    """`NotFound` for a space that the grant does not cover; None stands for no space in particular."""


def check_device(access: Access, session: Session, slug: str) -> None:
    """`NotFound` for a device in a space that the grant does not cover, as for one that does not exist."""


def check_whole_tenant(access: Access) -> None:
    """`NotAllowed` for a grant that covers a part of the tenant only."""
