"""The rules as data, and the passwords of devices."""

from __future__ import annotations

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula_tenants.broker import (
    INGEST,
    device_rules,
    hash_password,
    new_password,
    rules_of,
    service_rules,
    verify_password,
)
from insula_tenants.broker.dynamic_security import device_role
from insula_tenants.broker.rules import covers
from insula_tenants.names import mqtt_username, parse_username

ACME_1, ACME_2 = ("acme", "meter-1"), ("acme", "meter-2")
OWN = "tenants/acme/devices/meter-1"

LEVELS = st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=4)


@given(wide=LEVELS, end=st.sampled_from(["", "/#"]), topic=st.lists(st.sampled_from(["a", "b"]), min_size=1))
def test_a_filter_covers_the_topics_that_mqtt_says_it_matches(wide: list[str], end: str, topic: list[str]):
    topic_filter, name = "/".join(wide) + end, "/".join(topic)
    assert covers(topic_filter, name) == mqtt.topic_matches_sub(topic_filter, name)


@given(wide=LEVELS, end=st.sampled_from(["", "/#"]), narrow=LEVELS, narrow_end=st.sampled_from(["", "/#"]))
def test_a_filter_covers_another_only_if_it_matches_all_its_topics(
    wide: list[str], end: str, narrow: list[str], narrow_end: str
):
    outer, inner = "/".join(wide) + end, "/".join(narrow) + narrow_end
    # A topic of the inner filter that shares no level by chance: "c" wherever anything may stand.
    witness = "/".join("c" if level == "+" else level for level in narrow)
    witnesses = [witness, f"{witness}/c/c/c/c/c"] if narrow_end else [witness]
    assert covers(outer, inner) == all(mqtt.topic_matches_sub(outer, one) for one in witnesses)


def test_what_may_be_delivered_is_what_may_be_subscribed_to():
    rules = service_rules(INGEST)
    assert rules.may_subscribe("$share/ingest/tenants/+/devices/+/telemetry")
    assert rules.may_receive(f"{OWN}/telemetry")
    assert not rules.may_receive(f"{OWN}/desired")
    assert not device_rules(*ACME_1).may_publish(f"{OWN}/commands/+/result"), "a topic has no wildcards"
    assert device_rules(*ACME_1).may_receive(f"{OWN}/desired")
    assert not device_rules(*ACME_2).may_receive(f"{OWN}/desired")


def test_rules_are_nobodys_for_a_name_that_is_nobodys():
    assert rules_of("acme/meter-1") == device_rules("acme", "meter-1")
    assert rules_of(INGEST) == service_rules(INGEST)
    for name in ("", "acme", "acme/+", "acme/meter-1/x", "insula-nothing"):
        assert rules_of(name) is None


def test_all_logins_of_a_device_have_its_rules_and_its_client_id():
    for number in (1, 2, 17):
        username = mqtt_username(*ACME_1, number)
        assert parse_username(username) == (*ACME_1, number)
        assert rules_of(username) == device_rules(*ACME_1)
        assert device_role(username) == "device/acme/meter-1"
        assert parse_username(username).client_id == "acme/meter-1"
    assert mqtt_username(*ACME_1, 1) == "acme/meter-1"
    assert mqtt_username(*ACME_1, 2) == "acme/meter-1/2"


@pytest.mark.parametrize("number", ["", "0", "1", "02", "+2", "-2", "2/2", "#", "٢", "2 ", "2\n", "9" * 30])
def test_a_login_has_one_spelling(number: str):
    """Else one that was revoked would be good under another."""
    assert parse_username(f"acme/meter-1/{number}") is None
    assert rules_of(f"acme/meter-1/{number}") is None


def test_a_password_is_verified_by_its_hash_alone():
    password = new_password()
    kept = hash_password(password)
    assert len(password) >= 27, "fewer than 160 bits in base64"
    assert (len(kept.hash), len(kept.salt)) == (64, 12)
    assert verify_password(password, kept)
    assert not verify_password(password + "x", kept)
    assert hash_password(password) != kept, "the salt is new each time"
    assert password not in repr(kept)
