"""`/internal/mqtt/…`: a broker asks who may connect, publish and subscribe.

EMQX 5 sends JSON of the operator's making, mosquitto-go-auth a form or JSON of its own; both find their
answer in the same body. A refusal is an answer like any other, with status 200: EMQX passes over any other.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from pydantic import BaseModel, SecretStr

from insula_platform.access import NotAuthenticated, bearer_token
from insula_platform.broker.decisions import Decisions
from insula_tenants.errors import InvalidInput

_MOST = 64 * 1024
"""Bytes of a question."""
_READ, _WRITE, _READ_WRITE, _SUBSCRIBE = 1, 2, 3, 4
"""What mosquitto-go-auth asks for, as `acc`."""

Question = dict[str, Any]


class Answer(BaseModel):
    """What the broker is to do."""

    result: str
    """`allow` or `deny`, for EMQX."""
    is_superuser: bool = False
    Ok: bool
    """The same for mosquitto-go-auth."""
    Error: str = ""


def callback_routes(decisions: Decisions, secret: SecretStr) -> APIRouter:
    """The routes, for brokers that send this secret as their bearer token."""
    router = APIRouter(prefix="/internal/mqtt", include_in_schema=False)
    expected = secret.get_secret_value().encode()

    async def question(request: Request) -> Question:
        if not hmac.compare_digest(bearer_token(request).encode(), expected):
            raise NotAuthenticated("this is no token of a broker", 'Bearer realm="insula-broker"')
        return await _read(request)

    @router.post("/auth")
    async def authenticate(request: Request) -> Answer:
        """Whether a client may connect."""
        asked = await question(request)
        decision = await decisions.connect(
            _text(asked, "username"), _text(asked, "password"), _text(asked, "clientid")
        )
        return _answer(decision.outcome == "allowed", decision.outcome)

    @router.post("/acl")
    async def authorize(request: Request) -> Answer:
        """Whether a client that is connected may publish, subscribe or receive."""
        asked = await question(request)
        username, topic = _text(asked, "username"), _text(asked, "topic")
        checks: dict[str | int | None, tuple[Callable[[str, str], bool], ...]] = {
            "publish": (decisions.may_publish,),
            "subscribe": (decisions.may_subscribe,),
            _READ: (decisions.may_receive,),
            _WRITE: (decisions.may_publish,),
            _READ_WRITE: (decisions.may_receive, decisions.may_publish),
            _SUBSCRIBE: (decisions.may_subscribe,),
        }
        action = _text(asked, "action") or _number(asked.get("acc"))
        if action not in checks:
            raise InvalidInput("action", "say publish or subscribe as `action`, or 1 to 4 as `acc`")
        return _answer(all(check(username, topic) for check in checks[action]), "topic")

    return router


async def _read(request: Request) -> Question:
    """The fields of a question, JSON or a form; `InvalidInput` for what is neither."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            raise InvalidInput("body", f"a question has {_MOST} bytes at most")
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            asked = json.loads(body)
        else:
            asked = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
    except (ValueError, RecursionError):
        raise InvalidInput("body", "send JSON or a form") from None
    if not isinstance(asked, dict):
        raise InvalidInput("body", "send an object")
    if any(isinstance(value, str) and not _is_text(value) for value in asked.values()):
        raise InvalidInput("body", "there is half of a surrogate pair, which is no character")
    return asked


def _is_text(value: str) -> bool:
    """Whether it can be written in UTF-8: JSON's escapes can say what cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(asked: Question, field: str) -> str:
    """A field; EMQX sends what a client did not tell as an empty text or as null."""
    value = asked.get(field)
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, str) and value in ("1", "2", "3", "4"):
        return int(value)
    return value if isinstance(value, int) else None


def _answer(allowed: bool, why: str) -> Answer:
    return Answer(
        result="allow" if allowed else "deny", Ok=allowed, Error="" if allowed else f"refused: {why}"
    )
