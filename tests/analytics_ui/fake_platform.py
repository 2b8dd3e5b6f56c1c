"""A small platform for the UI's tests: OAuth answers with RS256 tokens, and data that is always the same.

Its sign-in page has a link for each person instead of a password; like a real one it remembers who signed in.
Tests make it misbehave through its `faults`, and see what it was asked in its `counts`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.analytics_ui.fake_analytics import FakeAnalytics
from tests.servers.mosquitto import free_port

FIRST_KEY = RSAKey.generate_key(2048, {"kid": "one"})
CLIENT_ID, CLIENT_SECRET = "insula-ui", "the-secret-of-the-ui"


@dataclass(frozen=True)
class FakePerson:
    """Somebody who can sign in."""

    subject: str
    name: str
    tenant: str
    tenant_name: str


ANNA = FakePerson("anna", "Anna Peeters", "acme", "Acme")
GIL = FakePerson("gil", "Gil Soares", "globex", "Globex")
NEW = FakePerson("nora", "Nora Nouveau", "initech", "Initech")
MARIA = FakePerson("maria", "Maria Lind", "campus", "Campus")
PEOPLE = {person.subject: person for person in (ANNA, GIL, NEW, MARIA)}


@dataclass
class FakePlatform:
    """One platform; `url` is its issuer."""

    url: str
    faults: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    token_seconds: int = 600
    key: RSAKey = field(default_factory=lambda: FIRST_KEY)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access_tokens: dict[str, FakePerson] = field(default_factory=dict)
    refresh_tokens: dict[str, FakePerson] = field(default_factory=dict)

    def app(self) -> Starlette:
        """The ASGI application."""
        tenant = "/api/v1/tenants/{tenant}"
        return Starlette(
            routes=[
                Route("/", lambda _: HTMLResponse("<title>Portal</title>the portal")),
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks", lambda _: JSONResponse({"keys": [self.key.as_dict(private=False)]})),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/userinfo", self.userinfo),
                Route("/end-session", self.end_session),
                *(Route(f"{tenant}/{what}", self.api) for what in ("spaces", "devices", "points", "latest")),
                Route(f"{tenant}/readings", self.api),
                Route(f"{tenant}/devices/{{device}}/diagnostics", self.analytics),
                Route(f"{tenant}/meters", self.analytics),
                Route(f"{tenant}/analytics/{{what:path}}", self.analytics),
            ]
        )

    def discovery(self, _: Request) -> Response:
        self.counts["discovery"] += 1
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "end_session_endpoint": f"{self.url}/end-session",
                "authorization_response_iss_parameter_supported": True,
            }
        )

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        subject = asked.pop("as", None) or request.cookies.get("fake-sign-in")
        if subject not in PEOPLE:
            links = "".join(
                f'<p><a href="/authorize?{urlencode(asked | {"as": subject})}">{person.name}</a>'
                for subject, person in PEOPLE.items()
            )
            return HTMLResponse(f"<title>Sign in</title>{links}")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked | {"subject": subject}
        answer = {"code": code, "state": asked["state"], "iss": self.url} | self.faults.get("callback", {})
        response = RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 303)
        response.set_cookie("fake-sign-in", subject, httponly=True, samesite="lax")
        return response

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.counts[form["grant_type"]] += 1
        expected = "Basic " + b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != expected:
            return JSONResponse({"error": "invalid_client"}, 401)
        if delay := self.faults.get("token_delay"):
            await asyncio.sleep(delay)
        if form["grant_type"] == "refresh_token":
            person = self.refresh_tokens.pop(form["refresh_token"], None)
            if person is None or self.faults.get("refuse_refresh"):
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse(self.issue(person, nonce=None))
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        if not asked or (asked["code_challenge_method"], asked["code_challenge"]) != ("S256", challenge):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(self.issue(PEOPLE[asked["subject"]], nonce=asked["nonce"]))

    def issue(self, person: FakePerson, *, nonce: str | None) -> dict[str, Any]:
        """A token endpoint's answer; faults may change the ID token's claims, header and key."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": person.subject, "iat": now, "exp": now + 600}
        claims |= {"nonce": nonce, "tenant": person.tenant, "tenant_name": person.tenant_name}
        claims |= self.faults.get("claims", {})
        key = self.faults.get("key", self.key)
        access_token, refresh_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.access_tokens[access_token] = person
        self.refresh_tokens[refresh_token] = person
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.token_seconds,
            "refresh_token": refresh_token,
            "id_token": jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key),
        }

    def _bearer(self, request: Request) -> FakePerson | None:
        return self.access_tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def userinfo(self, request: Request) -> Response:
        person = self._bearer(request)
        if person is None:
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(
            {"sub": person.subject, "name": person.name, "email": f"{person.subject}@{person.tenant}.example"}
        )

    def end_session(self, request: Request) -> Response:
        self.counts["end_session"] += 1
        hint = jwt.decode(request.query_params["id_token_hint"], self.key).claims
        assert hint["aud"] == CLIENT_ID
        response = RedirectResponse(request.query_params["post_logout_redirect_uri"], 303)
        response.delete_cookie("fake-sign-in")
        return response

    def api(self, request: Request) -> Response:
        what = request.url.path.rpartition("/")[2]
        self.counts[what] += 1
        if held := self.faults.get("held"):
            held.wait(20)
        if status := self.faults.get("api_status"):
            return JSONResponse({"type": "about:blank", "title": "No", "detail": "It cannot be done"}, status)
        person = self._bearer(request)
        if person is None:
            return JSONResponse({"title": "Unauthorized"}, 401)
        if person.tenant != request.path_params["tenant"]:
            return JSONResponse({"title": "Not found"}, 404)
        building = BUILDINGS.get(person.tenant)
        items = building.answer(what, request) if building else []
        if request.headers.get("accept") == "text/csv":
            rows = "".join(f"{each['point']},{each['time']},{each['value']}\r\n" for each in items)
            return Response("point,time,value\r\n" + rows, media_type="text/csv")
        return JSONResponse({"items": items, "next_cursor": None})

    def analytics(self, request: Request) -> Response:
        """What is computed; a tenant without a building has nothing of it."""
        what = request.path_params.get("what") or request.url.path.rpartition("/")[2]
        self.counts[what] += 1
        person = self._bearer(request)
        if person is None:
            return JSONResponse({"title": "Unauthorized"}, 401)
        building = BUILDINGS.get(person.tenant)
        if person.tenant != request.path_params["tenant"] or building is None:
            return JSONResponse({"title": "Not found"}, 404)
        answer = building.computed(what, request)
        return JSONResponse(answer) if answer else JSONResponse({"title": "Not found"}, 404)


@dataclass(frozen=True)
class Building:
    """A building with four sensors in each room, whose readings follow from the clock alone."""

    name: str
    site: str
    zone: str
    rooms: tuple[tuple[str, str], ...]
    """Name and storey of each."""
    warmth: float
    first_id: int
    annex: str | None = None
    """The building of the last room, where it is another one."""

    def answer(self, what: str, request: Request) -> list[dict[str, Any]]:
        """The items of one list."""
        return list(getattr(self, f"_{what}")(request))

    @property
    def analytics(self) -> FakeAnalytics:
        """What is told about this building over time; Acme's has everything."""
        rooms = [(self.first_id + index, name, storey) for index, (name, storey) in enumerate(self.rooms)]
        return FakeAnalytics(self.name, self.zone, rooms, self.first_id * 100, rich=self.first_id == 1)

    def _spaces(self, _: Request) -> Iterator[dict[str, Any]]:
        for index, (name, storey) in enumerate(self.rooms):
            yield {
                "id": self.first_id + index,
                "name": name,
                "storey": storey,
                "building": self.annex if self._is_annex(index) else self.name,
                "site": self.site,
                "time_zone": self.zone,
                "storey_id": self.first_id + (index // 2 if len(self.rooms) < 9 else index // 8),
                "building_id": self.building_id + (1 if self._is_annex(index) else 0),
            }

    def _is_annex(self, index: int) -> bool:
        return self.annex is not None and index == len(self.rooms) - 1

    @property
    def building_id(self) -> int:
        """Of the main building."""
        return self.first_id + 1000

    def computed(self, what: str, request: Request) -> dict[str, Any] | None:
        """Diagnostics and analytics; what the overview asks has short answers of its own."""
        query = request.query_params
        if what == "diagnostics":
            return self._diagnostics(request.path_params["device"])
        if what == "findings" and query.get("state") == "open":
            return {"items": [self._finding()], "next_cursor": None}
        if what == "data-quality" and query.get("limit") == "1":
            place = {"kind": "building", "id": self.building_id, "points": 16, "with_problems": 2}
            return {"items": [], "places": [place | {"completeness": {"share": 0.9149}}]}
        if what == "energy":
            begin, end = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
            if end - begin <= timedelta(days=1, hours=1):
                return self._so_far(begin)
        return self.analytics.answer(what, query)

    def _so_far(self, begin: datetime) -> dict[str, Any]:
        """Of a day so far: today's electricity is a fifth and more above the weeks before."""
        used = 50.0 if datetime.now(UTC) - begin < timedelta(days=2) else 40.0
        energy = {"id": self.building_id, "name": self.name, "carrier": "electricity", "unit": "kWh"}
        return {"buildings": [energy | {"consumption": used}]}

    def _diagnostics(self, device: str) -> dict[str, Any]:
        silent = device == "room-3-door"
        said = "The device has been gone since yesterday." if silent else "The device sends as it should."
        return {
            "device": device,
            "verdict": {
                "code": "offline" if silent else "well",
                "summary": said,
                "to_do": "Check its power and its network." if silent else None,
            },
            "clock_offset": -75.25 if silent else 0.5,
            "dead_letters": [],
        }

    def _finding(self) -> dict[str, Any]:
        return {
            "id": 1,
            "point": self.first_id * 100,
            "device": "room-1-temperature",
            "name": "temperature",
            "space": self.first_id,
            "kind": "stuck",
            "severity": "warning",
            "opened_at": _text(datetime.now(UTC) - timedelta(days=2, hours=1)),
        }

    def _devices(self, _: Request) -> Iterator[dict[str, Any]]:
        for index, (name, _storey) in enumerate(self.rooms):
            for kind, *_rest in SENSORS:
                yield {
                    "id": f"room-{index + 1}-{kind}",
                    "name": f"{kind.capitalize()} {name}",
                    "space_id": self.first_id + index,
                    "created_at": "2026-01-01T00:00:00Z",
                    "last_seen": _text(self._seen(index, kind)),
                }

    def _points(self, _: Request) -> Iterator[dict[str, Any]]:
        for index in range(len(self.rooms)):
            for number, (kind, name, brick_class, unit, states) in enumerate(SENSORS):
                yield {
                    "id": self.first_id * 100 + index * 10 + number,
                    "device": f"room-{index + 1}-{kind}",
                    "name": name,
                    "brick_class": brick_class,
                    "unit": unit,
                    "kind": "gauge",
                    "states": states,
                }

    def _latest(self, request: Request) -> Iterator[dict[str, Any]]:
        for point in self._points(request):
            index, number = self._where(point["id"])
            seen = self._seen(index, SENSORS[number][0])
            value = self._value(index, number, seen)
            yield {
                "point": point["id"],
                "device": point["device"],
                "name": point["name"],
                "time": _text(seen),
                "value": value,
            }

    def _readings(self, request: Request) -> Iterator[dict[str, Any]]:
        begin, end = (datetime.fromisoformat(request.query_params[name]) for name in ("from", "to"))
        step = {"m": 60, "h": 3600}[request.query_params["bucket"][-1]] * int(
            request.query_params["bucket"][:-1]
        )
        for point in map(int, request.query_params.getlist("point")):
            index, number = self._where(point)
            last = self._seen(index, SENSORS[number][0])
            time_ = datetime.fromtimestamp(begin.timestamp() // step * step, tz=UTC)
            while time_ < min(end, last):
                # One sensor was away for a while at noon: a gap.
                if not (number == 1 and 11 <= time_.hour < 13):
                    yield {"point": point, "time": _text(time_), "value": self._value(index, number, time_)}
                time_ += timedelta(seconds=step)

    def _where(self, point: int) -> tuple[int, int]:
        return divmod(point - self.first_id * 100, 10)

    def _seen(self, index: int, kind: str) -> datetime:
        """The second room's light is stale, the third one's door silent; the others spoke just now."""
        late = {(1, "light"): 900, (2, "door"): 90_000}.get((index, kind), 4)
        return datetime.now(UTC) - timedelta(seconds=late)

    def _value(self, index: int, number: int, when: datetime) -> float:
        hour = (when.hour + when.minute / 60 + index * 0.4) % 24
        sun = max(0.0, math.sin((hour - 6) / 12 * math.pi))
        work = (8 <= hour < 18 and when.isoweekday() < 6) or hour % 6 < 1.5
        ripple = math.sin(when.timestamp() / 700 + index) * 0.15 + math.sin(when.timestamp() / 157) * 0.08
        busy = work and math.sin(when.timestamp() / 2300 + index * 2) > -0.3
        return (
            round(self.warmth + index * 0.3 + 2.2 * sun + (0.6 if busy else 0) + ripple, 2),
            round(520 * sun + (310 if busy else 4) + 14 * ripple, 1),
            float(busy),
            float(work and math.sin(when.timestamp() / 900 + index * 5) > 0.75),
        )[number]


SENSORS: tuple[tuple[str, str, str, str | None, list[str] | None], ...] = (
    ("temperature", "temperature", "Zone_Air_Temperature_Sensor", "degC", None),
    ("light", "illuminance", "Illuminance_Sensor", "lux", None),
    ("presence", "occupancy", "Occupancy_Sensor", None, ["free", "occupied"]),
    ("door", "door", "Contact_Sensor", None, ["closed", "open"]),
)
BUILDINGS = {
    "acme": Building(
        "Forum",
        "Brussels",
        "Europe/Brussels",
        (
            ("Reception", "Ground floor"),
            ("Open office", "Ground floor"),
            ("Meeting room 1", "First floor"),
            ("Meeting room 2", "First floor"),
        ),
        20.4,
        1,
    ),
    "globex": Building(
        "Harbour House",
        "Lisbon",
        "Europe/Lisbon",
        (("Workshop", "Ground floor"), ("Canteen", "Ground floor"), ("Studio", "First floor")),
        22.1,
        51,
    ),
    "campus": Building(
        "Tower",
        "Lund",
        "Europe/Stockholm",
        (
            *((f"Office {number}", f"Floor {number // 8}") for number in range(1, 17)),
            ("Greenhouse", "Ground floor"),
        ),
        21.0,
        101,
        annex="Annex",
    ),
}


def _text(time_: datetime) -> str:
    return time_.astimezone(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """Serve an ASGI application on a loopback port, in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="error", ws="websockets-sansio", lifespan="off"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 15
    while not server.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


@contextmanager
def running_platform() -> Iterator[FakePlatform]:
    """A fake platform on a free port."""
    port = free_port()
    platform = FakePlatform(f"http://127.0.0.1:{port}")
    with serving(platform.app(), port):
        yield platform
