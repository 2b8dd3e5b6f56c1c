"""What ingest tells those who listen, and when it tells nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from insula_ingest import transport
from insula_ingest.live import LiveValues
from insula_ingest.messages import Message
from insula_tenants.broker.topics import BEGINS, VALUES_PER_MESSAGE, WANTED_FOR, decode_values
from insula_tenants.devices import list_points
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.ingest.test_pipeline import readings, telemetry
from tests.servers.mosquitto import MosquittoServer
from tests.servers.mqtt import MqttClient, unique
from tests.waiting import eventually

Publish = Callable[[str, bytes], None]
TOPIC = "tenants/acme/devices/desk-1/telemetry"
WANTED, VALUES = "insula/live/wanted/acme", "insula/live/values/acme"


def wish(topic: str = WANTED) -> Message:
    return Message(topic, b"", 0, 0, 0, 0)


class Sent:
    """Takes messages while there is room."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.room = True

    def __call__(self, topic: str, payload: bytes) -> bool:
        if self.room:
            self.messages.append((topic, payload))
        return self.room

    def values(self) -> list[tuple[int, int, float]]:
        """Of all messages since the last call, less those that begin."""
        payloads = [payload for _, payload in self.messages if payload != BEGINS]
        self.messages.clear()
        return [value for payload in payloads for value in decode_values(payload)[1]]


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_what_nobody_wants_is_not_sent_and_what_somebody_wants_is(devices: Deployment, sent: Sent):
    now = 0.0
    live = LiveValues(sent, clock=lambda: now)
    live.stored(devices.acme, {(1, 2): 3.5})
    assert sent.messages == []
    live.wanted(wish())
    assert sent.messages == [(VALUES, BEGINS)]
    live.wanted(wish())
    live.stored(devices.acme, {(1, 2): 3.5})
    live.stored(devices.globex, {(1, 2): 4.5})
    live.stored(devices.acme, {})
    assert sent.values() == [(1, 2, 3.5)]
    now = WANTED_FOR
    live.stored(devices.acme, {(1, 2): 3.5})
    assert sent.messages == []
    live.wanted(wish())
    assert sent.messages == [(VALUES, BEGINS)], "what was committed in between is in a fresh snapshot"


def test_many_values_are_sent_in_several_messages_that_name_their_tenant(devices: Deployment, sent: Sent):
    live = LiveValues(sent)
    live.wanted(wish())
    live.stored(devices.acme, {(1, at): at / 2 for at in range(2 * VALUES_PER_MESSAGE + 1)})
    assert [len(decode_values(payload)[1]) for _, payload in sent.messages[1:]] == [1000, 1000, 1]
    assert {decode_values(payload)[0] for _, payload in sent.messages[1:]} == {devices.acme.id}


def test_values_that_cannot_be_sent_are_made_up_for_by_a_fresh_beginning(devices: Deployment, sent: Sent):
    live = LiveValues(sent)
    live.wanted(wish())
    sent.room = False
    live.stored(devices.acme, {(1, 2): 3.5})
    sent.room = True
    sent.messages.clear()
    live.stored(devices.acme, {(1, 3): 3.5})
    assert sent.messages == []
    live.wanted(wish())
    live.stored(devices.acme, {(1, 4): 3.5})
    assert sent.messages[0] == (VALUES, BEGINS)
    assert sent.values() == [(1, 4, 3.5)]


@pytest.mark.parametrize(
    "topic", ["insula/live/wanted/", "insula/live/wanted/a+", "insula/live/wanted/acme/x"]
)
def test_wishes_that_name_no_tenant_are_passed_over(sent: Sent, topic: str):
    LiveValues(sent).wanted(wish(topic))
    assert sent.messages == []


@pytest.fixture
def listener(mosquitto: MosquittoServer) -> Iterator[MqttClient]:
    with MqttClient(mosquitto.port, None, None, client_id=unique("listener")) as client:
        assert client.subscribe("insula/live/values/+")
        yield client


def test_committed_values_are_published_to_who_listens(
    devices: Deployment, ingest: RunningIngest, publish: Publish, listener: MqttClient
):
    publish(TOPIC, telemetry(1.0))
    eventually(lambda: readings(devices, devices.acme))
    assert listener.received == []
    listener.publish(WANTED, "")
    listener.wait_for("")
    publish(TOPIC, telemetry(2.0, second=1))
    publish(TOPIC.replace("acme", "globex"), telemetry(3.0))
    message = eventually(lambda: next((one for one in listener.received if one.payload), None))
    with devices.databases.tenant(devices.acme) as session:
        (point,) = list_points(session)
    assert message.topic == VALUES
    document = json.loads(message.payload)
    assert (document["tenant"], document["values"][0][0], document["values"][0][2]) == (
        str(devices.acme.id),
        point.id,
        2.0,
    )
    assert len(readings(devices, devices.acme)) == 2, "it is stored when it is published"
    eventually(lambda: readings(devices, devices.globex))
    assert {one.topic for one in listener.received} == {VALUES}


def test_a_broker_that_takes_nothing_costs_values_and_no_memory(
    ingest: RunningIngest, mosquitto: MosquittoServer
):
    source = ingest.service._source
    mosquitto.stop()
    eventually(lambda: not source._connected)
    taken = sum(source.publish(VALUES, b"x") for _ in range(2 * transport._MOST_TO_SEND))
    assert taken == transport._MOST_TO_SEND
    mosquitto.start()
    assert source.wait_subscribed(20)
