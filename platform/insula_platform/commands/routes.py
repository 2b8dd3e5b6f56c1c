"""`…/devices/{device}/commands`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from insula_platform.access import Access, Requires, check_device
from insula_platform.commands.delivery import send_order
from insula_platform.commands.schemas import Command, NewCommand
from insula_platform.devices.routes import DeviceId, Reader
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants import audit, commands
from insula_tenants.commands import CommandState

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/devices/{device}/commands",
    tags=["Commands"],
    responses=PROBLEM_RESPONSES,
)

Commander = Annotated[Access, Requires("commands:write")]
CommandId = Annotated[UUID, Path(description="The command's id.")]


@router.post(
    "",
    status_code=202,
    responses={
        200: {"model": Command, "description": "Given by an earlier request with this Idempotency-Key"},
        **problem_responses(409),
    },
)
def post_command(
    access: Commander,
    platform: CurrentPlatform,
    device: DeviceId,
    asked: NewCommand,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Command:
    """Give a device a command. `Location` says where to see what becomes of it.

    It is kept before it is sent, so it is `waiting` while the broker is away, and goes out by itself. 409 for
    a device that is out of use, or has too many open commands.
    """
    context = access.context
    with platform.databases.tenant(context) as session:
        check_device(access, session, device)
    with platform.databases.core() as core:
        operation = f"devices/{device}/commands"
        once = Once(core, access, operation, idempotency_key, asked.model_dump(mode="json"))
        with platform.databases.tenant(context) as session:
            if once.made is not None:
                view = commands.find_command(session, device, UUID(once.made["command"]))
                response.status_code = 200
            else:
                new = commands.NewCommand(**asked.model_dump())
                view = commands.add_command(session, device, new, actor=access.actor)
        if once.made is None:
            told = {"id": str(view.id), "name": view.name, "deliver_when_back": view.deliver_when_back}
            audit.record(core, access.actor, "command.given", tenant=context.id, target=device, detail=told)
            once.keep({"command": str(view.id)})
    order = commands.order_of(view)
    if once.made is None and send_order(platform.databases, platform.link, context, order):
        with platform.databases.tenant(context) as session:
            view = commands.find_command(session, device, view.id)
    response.headers["Location"] = f"/api/v1/tenants/{context.slug}/devices/{device}/commands/{view.id}"
    return Command.model_validate(view)


@router.get("")
def get_commands(
    access: Reader,
    platform: CurrentPlatform,
    device: DeviceId,
    state: Annotated[CommandState | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[Command]:
    """The device's commands, newest first."""
    before = decode_cursor(cursor, int)[0] if cursor else None
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        found = commands.list_commands(session, device, state=state, before=before, limit=limit + 1)
    more = encode_cursor(found[limit - 1].number) if len(found) > limit else None
    return Page(items=[Command.model_validate(view) for view in found[:limit]], next_cursor=more)


@router.get("/{command_id}")
def get_command(
    access: Reader, platform: CurrentPlatform, device: DeviceId, command_id: CommandId
) -> Command:
    """A command, and what became of it."""
    with platform.databases.tenant(access.context) as session:
        check_device(access, session, device)
        return Command.model_validate(commands.find_command(session, device, command_id))


@router.post("/{command_id}/cancel", responses=problem_responses(409))
def post_cancel(
    access: Commander, platform: CurrentPlatform, device: DeviceId, command_id: CommandId
) -> Command:
    """Take a command back. 409 when it is over.

    One that was sent may have reached the device, or may still: its result is then kept, as `late`.
    """
    context = access.context
    with platform.databases.core() as core:
        with platform.databases.tenant(context) as session:
            check_device(access, session, device)
            view = commands.cancel_command(session, device, command_id)
        audit.record(
            core,
            access.actor,
            "command.cancelled",
            tenant=context.id,
            target=device,
            detail={"id": str(view.id), "name": view.name},
        )
    return Command.model_validate(view)
