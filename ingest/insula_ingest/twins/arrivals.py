"""Read one message: which device it is of, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from insula_ingest.codecs import Reason
from insula_ingest.messages import LONGEST_TOPIC, Message
from insula_tenants.commands.arrivals import NewResult, read_result
from insula_tenants.errors import InvalidInput
from insula_tenants.presence.arrivals import STATUSES
from insula_tenants.twins.states import State, check_state, parse_json

MAX_PAYLOAD_BYTES = 64 * 1024
"""A larger one is a dead letter: no state and no result may be so large."""

Kind = Literal["attributes", "status", "result"]
Said = bool | State | NewResult
"""Whether the device is connected, a merge patch of its reported state, or a result."""


class Sender(NamedTuple):
    """Who a topic is about, and what kind of thing it tells."""

    tenant: str
    device: str
    kind: Kind
    command: str = ""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a message is not taken."""

    reason: Reason
    detail: str


def sender_of(topic: str) -> Sender | None:
    """What a topic names; None when it is none of these."""
    levels = topic.split("/") if len(topic) <= LONGEST_TOPIC else []
    if levels[:1] != ["tenants"] or levels[2:3] != ["devices"]:
        return None
    if len(levels) == 5 and levels[4] == "attributes":
        return Sender(levels[1], levels[3], "attributes")
    if len(levels) == 5 and levels[4] == "status":
        return Sender(levels[1], levels[3], "status")
    if len(levels) == 7 and levels[4] == "commands" and levels[6] == "result":
        return Sender(levels[1], levels[3], "result", levels[5])
    return None


def read(sender: Sender, message: Message) -> Said | Unfit:
    """What the message says, or why it says nothing that can be kept."""
    if message.size > MAX_PAYLOAD_BYTES:
        return Unfit(
            Reason.TOO_LARGE,
            f"payload: {message.size} bytes, at most {MAX_PAYLOAD_BYTES} are taken; send less",
        )
    if sender.kind == "status":
        connected = STATUSES.get(message.payload)
        bad = Unfit(Reason.BAD_SHAPE, "payload: a status is `online` or `offline`")
        return bad if connected is None else connected
    try:
        document = parse_json(message.payload, field="payload")
    except InvalidInput as error:
        return Unfit(Reason.MALFORMED, f"{error.field}: {error.detail}")
    try:
        if sender.kind == "result":
            return read_result(sender.command, document)
        return check_state(document, field="payload")
    except InvalidInput as error:
        return Unfit(Reason.BAD_SHAPE, f"{error.field}: {error.detail}")
