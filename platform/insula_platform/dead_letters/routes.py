"""`…/dead-letters`: what could not be stored, and what is to become of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime
from sqlalchemy.orm import Session

from insula_platform.access import Access, Requires, check_whole_tenant, visible_spaces
from insula_platform.dead_letters import service
from insula_platform.dead_letters.schemas import (
    DeadLetter,
    Discarded,
    Requested,
    Summary,
    WholeDeadLetter,
    whole,
)
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants.errors import InvalidInput
from insula_tenants.telemetry.dead_letters import ALL, MAX_ID, Which, find_letter, list_letters, summarize
from insula_tenants.telemetry.reasons import Reason

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/dead-letters", tags=["Dead letters"], responses=PROBLEM_RESPONSES
)

Reader = Annotated[Access, Requires("dead-letters:read")]
Writer = Annotated[Access, Requires("dead-letters:write")]
LetterId = Annotated[int, Path(ge=1, le=MAX_ID, description="The dead letter's id.")]


def _which(
    device: Annotated[str | None, Query(description="Only this device's.", max_length=200)] = None,
    reason: Annotated[Reason | None, Query(description="Only those with this reason.")] = None,
    starting: Annotated[
        AwareDatetime | None, Query(alias="from", description="Last received then or later; RFC 3339.")
    ] = None,
    ending: Annotated[
        AwareDatetime | None, Query(alias="to", description="Last received before that; RFC 3339.")
    ] = None,
) -> Which:
    if starting is not None and ending is not None and ending <= starting:
        raise InvalidInput("to", "`to` is not after `from`: the interval holds nothing")
    return Which(device, reason, starting, ending)


Asked = Annotated[Which, Depends(_which)]


def _within(access: Access, session: Session, which: Which = ALL) -> Which:
    """Those of these that the grant covers: a part of a tenant has none of devices that nobody knows."""
    return replace(which, within=visible_spaces(access, session))


def _covered(access: Access, platform: Platform, which: Which = ALL) -> Which:
    if not access.places:
        return which
    with platform.databases.tenant(access.context) as session:
        return _within(access, session, which)


@router.get("")
def get_dead_letters(
    access: Reader,
    platform: CurrentPlatform,
    which: Asked,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[DeadLetter]:
    """What could not be stored, newest first, without payloads. The same message again only counts up."""
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        found = list_letters(session, _within(access, session, which), before=before, limit=limit + 1)
    more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page(items=[DeadLetter.model_validate(letter) for letter in found[:limit]], next_cursor=more)


@router.get("/summary")
def get_summary(access: Reader, platform: CurrentPlatform) -> Summary:
    """How many there are by reason, how many may be kept, and how many went because there were more.

    It is of the whole tenant.
    """
    check_whole_tenant(access)
    with platform.databases.tenant(access.context) as session:
        summary = summarize(session)
    settings = platform.settings
    return Summary(
        **summary._asdict(),
        most_letters=settings.dead_letters_rows,
        most_payload_bytes=settings.dead_letters_bytes,
    )


@router.get("/{letter_id}")
def get_dead_letter(access: Reader, platform: CurrentPlatform, letter_id: LetterId) -> WholeDeadLetter:
    """One of them, with its payload."""
    with platform.databases.tenant(access.context) as session:
        return whole(*find_letter(session, letter_id, _within(access, session)))


@router.post("/replay", status_code=202)
def post_replay(access: Writer, platform: CurrentPlatform, which: Asked) -> Requested:
    """Have all that match processed again, as if they had just been received at the time they were.

    Those that can be stored now disappear; the others stay, with their new reason. Those that are cut off are
    left alone. Repeating is harmless.
    """
    which = _covered(access, platform, which)
    letters = service.replay(platform.databases, platform.link, access.context, which, actor=access.actor)
    return Requested(letters=letters)


@router.post("/{letter_id}/replay", status_code=202, responses=problem_responses(409))
def post_replay_one(access: Writer, platform: CurrentPlatform, letter_id: LetterId) -> Requested:
    """Have one processed again. 409 when only the beginning of its payload was kept."""
    service.replay_one(
        platform.databases,
        platform.link,
        access.context,
        letter_id,
        which=_covered(access, platform),
        actor=access.actor,
    )
    return Requested(letters=1)


@router.delete("")
def delete_dead_letters(access: Writer, platform: CurrentPlatform, which: Asked) -> Discarded:
    """Discard all that match. At least one condition must be said: for all of them, `to` the present time."""
    if which == Which():
        raise InvalidInput("to", "say which: by device, reason, from or to; `to` the present time means all")
    which = _covered(access, platform, which)
    letters = service.discard(platform.databases, access.context, which, actor=access.actor)
    return Discarded(letters=letters)


@router.delete("/{letter_id}", status_code=204)
def delete_dead_letter(access: Writer, platform: CurrentPlatform, letter_id: LetterId) -> None:
    """Discard one."""
    service.discard_one(
        platform.databases,
        access.context,
        letter_id,
        which=_covered(access, platform),
        actor=access.actor,
    )
