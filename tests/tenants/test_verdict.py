"""What diagnostics say of a device, for each thing that can be wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from insula_tenants.devices import CredentialView, DeviceView
from insula_tenants.diagnostics.service import Certificate, Findings, LastRefusal, Letters
from insula_tenants.diagnostics.verdict import judge
from insula_tenants.presence import PresenceView

NOW = datetime.now(UTC)


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


DEVICE = DeviceView(
    id="lamp",
    name="Lamp",
    space_id=None,
    gateway=None,
    created_at=ago(days=9),
    last_seen=ago(seconds=5),
    type=None,
    state="active",
    expected_interval=60,
    serial=None,
    labels={},
    decommissioned_at=None,
)
PRESENCE = PresenceView("lamp", "online", ago(days=1), ago(days=1), None, ago(seconds=5), 60)
LOGIN = CredentialView(1, "acme/lamp", ago(days=9), None, None)
WELL = Findings(
    device=DEVICE,
    presence=PRESENCE,
    last_message_at=ago(seconds=5),
    refusal=None,
    dead_letters=(),
    clock_offset=0.4,
    clock_offset_at=ago(seconds=5),
    throttled=0,
    throttled_at=None,
    credentials=(LOGIN,),
    certificates=(),
    at=NOW,
)
NEVER = PRESENCE._replace(state="unknown", connected_at=None, last_heard_at=None, since=None)
GONE = PRESENCE._replace(state="offline", since=ago(hours=2), disconnected_at=ago(hours=2))
LETTER = Letters("malformed", 3, ago(seconds=9), "payload: it is no JSON")
DENIED = LastRefusal(ago(minutes=1), "publish", "not its topic", 4)
TURNED_AWAY = LastRefusal(ago(seconds=1), "connection", "the password is wrong", 9)
OLD = CredentialView(1, "acme/lamp", ago(days=9), ago(days=1), ago(days=1))
ENDING = CredentialView(2, "acme/lamp/2", ago(days=9), NOW + timedelta(days=2), None)
TOMORROW = Certificate("1", NOW + timedelta(days=1))

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("well", {}, "as it should"),
    ("decommissioned", {"device": DEVICE._replace(state="decommissioned")}, "no login"),
    ("held", {"device": DEVICE._replace(state="held")}, "approved"),
    ("connection_refused", {"refusal": TURNED_AWAY}, "the password is wrong"),
    ("no_credentials", {"credentials": (OLD,)}, "expired or was revoked"),
    ("never_connected", {"presence": NEVER, "last_message_at": None}, "Nothing was ever heard"),
    ("publish_refused", {"refusal": DENIED}, "not its topic"),
    ("offline", {"presence": GONE, "last_message_at": ago(hours=2)}, "gone since"),
    ("dead_letters", {"dead_letters": (LETTER,)}, "3 messages"),
    ("throttled", {"throttled": 7, "throttled_at": ago(minutes=1)}, "7 messages"),
    ("stale", {"presence": PRESENCE._replace(state="stale", last_heard_at=ago(hours=1))}, "every 60 s"),
    ("clock_wrong", {"clock_offset": -7200.0}, "2 hours ahead"),
    ("clock_wrong", {"clock_offset": 90.0}, "90 seconds behind"),
    ("credentials_expiring", {"credentials": (ENDING, OLD)}, "the last of its credentials"),
    (
        "credentials_expiring",
        {"certificates": (Certificate("1", NOW + timedelta(1)),), "credentials": ()},
        "",
    ),
]


@pytest.mark.parametrize(("code", "changes", "words"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_verdict(code: str, changes: dict[str, Any], words: str) -> None:
    verdict = judge(replace(WELL, **changes))
    assert verdict.code == code
    assert words in verdict.summary
    assert (verdict.to_do is None) == (code == "well")


@pytest.mark.parametrize(
    "changes",
    [
        {"refusal": replace(TURNED_AWAY, at=ago(hours=25))},
        {"refusal": replace(DENIED, at=ago(hours=2))},
        {"throttled": 7, "throttled_at": ago(hours=2)},
        {"dead_letters": (replace(LETTER, last_received_at=ago(hours=3)),)},
        {"credentials": (ENDING, LOGIN)},
        {"credentials": (OLD,), "certificates": (Certificate("1", NOW + timedelta(30)),)},
        {"credentials": (OLD,), "device": DEVICE._replace(gateway="gateway")},
    ],
)
def test_what_is_over_is_not_the_verdict(changes: dict[str, Any]) -> None:
    assert judge(replace(WELL, **changes)).code == "well"


def test_the_first_thing_that_is_wrong_is_the_verdict() -> None:
    everything = replace(WELL, refusal=DENIED, dead_letters=(LETTER,), presence=GONE, clock_offset=900.0)
    assert judge(everything).code == "publish_refused"
    assert judge(replace(everything, refusal=None)).code == "offline"
