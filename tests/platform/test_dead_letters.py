"""Dead letters over HTTP: seen, replayed and discarded by those who may, in their own tenant alone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import func, select, update

from insula_platform.oauth.clients import create_service_client
from insula_tenants.audit import list_entries
from insula_tenants.broker import BrokerUnreachable
from insula_tenants.context import TenantContext
from insula_tenants.database import SET_ROLE
from insula_tenants.telemetry.models import DeadLetter
from insula_tenants.telemetry.reasons import Reason
from insula_tenants.telemetry.trimming import TRIM_ROWS, DeadLetterBounds
from insula_tenants.telemetry.write import MAX_KEPT_PAYLOAD, NewDeadLetter, TelemetryWriter, TenantBatch
from tests.conftest import Deployment
from tests.platform.conftest import Live

BASE = "/api/v1/tenants/acme/dead-letters"
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
BOTH = "dead-letters:read dead-letters:write"


def letter(
    number: int, *, device: str = "lamp", reason: str = "unknown_device", payload: bytes | None = None
):
    return NewDeadLetter(
        AT + timedelta(minutes=number),
        f"tenants/acme/devices/{device}/telemetry",
        device,
        reason,
        f"detail {number}",
        payload if payload is not None else b'{"n": %d}' % number,
    )


def write(
    deployment: Deployment,
    context: TenantContext,
    letters: list[NewDeadLetter],
    bounds: DeadLetterBounds | None = None,
) -> None:
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        writer = TelemetryWriter(connection, bounds=bounds or DeadLetterBounds())
        writer.write([TenantBatch(context, dead_letters=letters)])


@pytest.fixture
def letters(deployment: Deployment) -> Iterator[list[int]]:
    """Six of acme's, and one of globex's; ids of acme's, oldest first."""
    mine = [letter(n, device="lamp" if n % 2 else "fan") for n in range(4)]
    mine += [
        letter(4, reason="malformed", payload=b"\xff\xfe"),
        letter(5, payload=b"x" * (MAX_KEPT_PAYLOAD + 1)),
    ]
    write(deployment, deployment.acme, mine)
    write(deployment, deployment.globex, [letter(0)])
    with deployment.databases.tenant(deployment.acme) as session:
        ids = list(session.scalars(select(DeadLetter.id).order_by(DeadLetter.id)))
    yield ids
    for context in (deployment.acme, deployment.globex):
        with deployment.databases.tenant(context) as session:
            session.query(DeadLetter).delete()


def token_of(live: Live, scope: str, context: TenantContext | None = None) -> str:
    with live.deployment.databases.core() as core:
        credentials = create_service_client(core, context or live.deployment.acme, "letters", scope)
    return str(live.token_request(credentials, grant_type="client_credentials").json()["access_token"])


@pytest.fixture
def ask(live: Live) -> Callable[..., httpx.Response]:
    token = token_of(live, BOTH)

    def asked(method: str, path: str = "", *, token: str = token, **query: Any) -> httpx.Response:
        with live.client() as client:
            return client.request(
                method, BASE + path, params=query, headers={"Authorization": f"Bearer {token}"}
            )

    return asked


class FakeLink:
    """Notes what ingest is told, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.told: list[str] = []

    def replay(self, tenant: str) -> None:
        if self.away:
            raise BrokerUnreachable("the broker is away")
        self.told.append(tenant)


@pytest.fixture
def link(live: Live) -> Iterator[FakeLink]:
    link = FakeLink()
    object.__setattr__(live.platform, "link", link)
    yield link
    object.__setattr__(live.platform, "link", None)


def marked(deployment: Deployment, context: TenantContext) -> list[int]:
    with deployment.databases.tenant(context) as session:
        query = select(DeadLetter.id).where(DeadLetter.replay_requested_at.is_not(None))
        return list(session.scalars(query.order_by(DeadLetter.id)))


def test_they_are_listed_newest_first_and_page_by_page(ask, letters: list[int]):
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = ask("GET", limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        assert all("payload" not in item for item in page["items"])
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == letters[::-1]


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({"device": "fan"}, [0, 2]),
        ({"reason": "malformed"}, [4]),
        ({"from": "2026-05-01T12:02:00Z", "to": "2026-05-01T12:04:00Z"}, [2, 3]),
        ({"device": "lamp", "to": "2026-05-01T12:03:00Z"}, [1]),
        ({"device": "nobody"}, []),
    ],
)
def test_a_list_holds_what_fits_all_that_is_said(ask, letters: list[int], query: dict, positions: list[int]):
    found = [item["id"] for item in ask("GET", **query).json()["items"]]
    assert found == [letters[position] for position in reversed(positions)]


def test_one_is_shown_with_its_payload_as_text_where_it_is_text(ask, letters: list[int]):
    plain = ask("GET", f"/{letters[1]}").json()
    assert (plain["text"], base64.b64decode(plain["payload"])) == ('{"n": 1}', b'{"n": 1}')
    assert (plain["reason"], plain["times"], plain["cut_off"]) == ("unknown_device", 1, False)
    binary = ask("GET", f"/{letters[4]}").json()
    assert (binary["text"], base64.b64decode(binary["payload"])) == (None, b"\xff\xfe")
    large = ask("GET", f"/{letters[5]}").json()
    assert (large["payload_bytes"], large["cut_off"]) == (MAX_KEPT_PAYLOAD + 1, True)
    assert len(base64.b64decode(large["payload"])) == MAX_KEPT_PAYLOAD


@pytest.mark.parametrize(
    ("query", "field"), [({"reason": "bad luck"}, "query.reason"), ({"cursor": "!"}, "cursor")]
)
def test_what_is_no_question_is_answered_with_the_field(ask, letters: list[int], query: dict, field: str):
    answer = ask("GET", **query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_the_document_lists_every_reason(live: Live):
    schemas = live.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["DeadLetter"]["properties"]["reason"]["enum"] == [*map(str, Reason)]
    assert schemas["Reason"]["enum"] == [*map(str, Reason)]


def test_a_replay_marks_those_that_match_and_tells_ingest(
    live: Live, deployment: Deployment, ask, letters: list[int], link: FakeLink
):
    answer = ask("POST", "/replay", device="lamp")
    assert (answer.status_code, answer.json()) == (202, {"letters": 3}), "the one that is cut off stays"
    assert marked(deployment, deployment.acme) == [letters[1], letters[3], letters[4]]
    assert marked(deployment, deployment.globex) == []
    assert ask("POST", f"/{letters[0]}/replay").status_code == 202
    assert marked(deployment, deployment.acme) == [letters[0], letters[1], letters[3], letters[4]]
    assert link.told == ["acme", "acme"]
    assert ask("GET", f"/{letters[0]}").json()["replay_requested_at"] is not None
    cut_off = ask("POST", f"/{letters[5]}/replay")
    assert (cut_off.status_code, cut_off.json()["type"]) == (409, "/problems/conflict")


@pytest.mark.parametrize("away", [FakeLink(away=True), None])
def test_a_replay_that_ingest_cannot_hear_of_changes_nothing(
    live: Live, deployment: Deployment, ask, letters: list[int], away: FakeLink | None, link: FakeLink
):
    object.__setattr__(live.platform, "link", away)
    before = len(entries(deployment))
    for path in ("/replay", f"/{letters[0]}/replay"):
        answer = ask("POST", path)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/broker-unavailable")
    assert marked(deployment, deployment.acme) == []
    assert len(entries(deployment)) == before


def test_one_or_all_that_match_are_discarded(deployment: Deployment, ask, letters: list[int]):
    assert ask("DELETE").status_code == 422, "all of them, by a slip"
    assert ask("DELETE", device="fan").json() == {"letters": 2}
    assert ask("DELETE", f"/{letters[1]}").status_code == 204
    assert ask("DELETE", f"/{letters[1]}").status_code == 404
    assert ask("GET", f"/{letters[1]}").status_code == 404
    assert [item["id"] for item in ask("GET").json()["items"]] == [letters[5], letters[4], letters[3]]
    assert ask("DELETE", to="2030-01-01T00:00:00Z").json() == {"letters": 3}
    with deployment.databases.tenant(deployment.globex) as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 1


def entries(deployment: Deployment) -> list[tuple[str, str, dict[str, Any]]]:
    with deployment.databases.core() as core:
        return [
            (entry.actor_kind, entry.action, entry.detail)
            for entry in list_entries(core, tenant=deployment.acme.id)
            if entry.action.startswith("dead_letters.")
        ]


def test_the_audit_log_says_who_replayed_and_discarded(
    deployment: Deployment, ask, letters: list[int], link: FakeLink
):
    before = len(entries(deployment))
    ask("POST", "/replay", device="fan")
    ask("DELETE", device="fan", reason="unknown_device")
    ask("DELETE", f"/{letters[1]}")
    ask("DELETE", device="nobody")
    assert entries(deployment)[: -before or None] == [
        ("client", "dead_letters.discarded", {"id": letters[1]}),
        ("client", "dead_letters.discarded", {"device": "fan", "reason": "unknown_device", "letters": 2}),
        ("client", "dead_letters.replayed", {"device": "fan", "letters": 2}),
    ]


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "", "dead-letters:read"),
        ("GET", "/summary", "dead-letters:read"),
        ("GET", "/{id}", "dead-letters:read"),
        ("POST", "/replay", "dead-letters:write"),
        ("POST", "/{id}/replay", "dead-letters:write"),
        ("DELETE", "/{id}", "dead-letters:write"),
    ],
)
def test_each_takes_its_scope_in_ones_own_tenant(
    live: Live, ask, letters: list[int], link: FakeLink, method: str, path: str, needed: str
):
    path = path.format(id=letters[0])
    (other,) = set(BOTH.split()) - {needed}
    assert ask(method, path, token=token_of(live, other)).status_code == 403
    assert ask(method, path, token=token_of(live, BOTH, live.deployment.globex)).status_code == 404
    assert ask(method, path, token=token_of(live, needed)).is_success


def test_roles_have_the_scopes_that_become_them(live: Live):
    for email, has in (("ada", True), ("erin", True), ("victor", False)):
        asked = f"readings:read {BOTH}"
        tokens = live.tokens_of(f"{email}@example.com", tenant="acme", scope=asked)
        assert set(tokens["scope"].split()) == set((asked if has else "readings:read").split())


# Bounds


def kept(deployment: Deployment) -> list[str]:
    with deployment.databases.tenant(deployment.acme) as session:
        return list(session.scalars(select(DeadLetter.detail).order_by(DeadLetter.last_received_at)))


def test_too_many_let_the_oldest_go_and_that_is_counted(
    deployment: Deployment, ask, letters: list[int], live: Live
):
    before = ask("GET", "/summary").json()["dropped"]
    write(deployment, deployment.acme, [letter(n) for n in range(10, 20)], DeadLetterBounds(rows=4))
    assert kept(deployment) == [f"detail {n}" for n in range(16, 20)]
    summary = ask("GET", "/summary").json()
    assert (summary["letters"], summary["dropped"] - before) == (4, 12)
    assert summary["last_dropped_at"] is not None
    assert summary["reasons"] == {"unknown_device": 4}
    with deployment.databases.tenant(deployment.globex) as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 1


def test_too_large_let_the_oldest_go(deployment: Deployment, ask, letters: list[int]):
    size = 10_000
    large = [letter(n, payload=bytes([n]) * size) for n in range(10, 20)]
    write(deployment, deployment.acme, large, DeadLetterBounds(bytes=3 * size))
    assert kept(deployment) == [f"detail {n}" for n in range(17, 20)]
    assert ask("GET", "/summary").json()["payload_bytes"] == 3 * size


def test_one_that_comes_again_is_young_again(deployment: Deployment, letters: list[int]):
    again = letter(100, device="fan", payload=b'{"n": 0}')
    write(deployment, deployment.acme, [again], DeadLetterBounds(rows=2))
    assert len(kept(deployment)) == 2
    assert kept(deployment)[-1] == "detail 0"


def test_a_flood_is_trimmed_every_so_often_and_not_for_each(deployment: Deployment):
    """A process trims with its first, and then every `TRIM_ROWS`."""
    write(deployment, deployment.acme, [letter(9000)], DeadLetterBounds(rows=1))
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        writer = TelemetryWriter(connection, bounds=DeadLetterBounds(rows=10))
        most = 0
        for n in range(3 * TRIM_ROWS):
            writer.write([TenantBatch(deployment.acme, dead_letters=[letter(n)])])
            with connection.transaction():
                connection.execute(SET_ROLE, (deployment.acme.schema,))
                (count,) = connection.execute("SELECT count(*) FROM dead_letters").fetchone() or (0,)
            most = max(most, count)
    assert 10 < most <= 10 + TRIM_ROWS
    with deployment.databases.tenant(deployment.acme) as session:
        session.query(DeadLetter).delete()


def test_a_trim_waits_for_nobody_and_keeps_nobody_waiting(deployment: Deployment, letters: list[int]):
    """Another process holds the rows: they stay this time, and go the next."""
    with psycopg.connect(deployment.service_url) as other:
        other.execute(SET_ROLE, (deployment.acme.schema,))
        other.execute("SELECT FROM dead_letters WHERE id = %s FOR UPDATE", (letters[0],))
        write(deployment, deployment.acme, [letter(50)], DeadLetterBounds(rows=1))
        assert kept(deployment) == ["detail 0", "detail 50"]
    write(deployment, deployment.acme, [letter(51)], DeadLetterBounds(rows=1))
    assert kept(deployment) == ["detail 51"]


def test_a_reason_that_only_another_release_knows_is_shown(deployment: Deployment, ask, letters: list[int]):
    with deployment.databases.tenant(deployment.acme) as session:
        session.execute(update(DeadLetter).where(DeadLetter.id == letters[0]).values(reason="bad_luck"))
    assert ask("GET", f"/{letters[0]}").json()["reason"] == "bad_luck"
