"""A device of one tenant against everything of another, at the broker that the demo runs.

What every login may do on either broker stands in `tests/tenants/test_broker_access.py`; here is one intruder
with a good login and bad intentions, and a neighbour that must notice nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from insula_tenants.broker import CONTROL, INGEST, new_password
from insula_tenants.broker.rules import DYNAMIC_SECURITY
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient, unique

NEIGHBOUR = "tenants/globex/devices/meter"
OWN = "tenants/acme/devices/meter"


@dataclass
class Site:
    """A broker, a device of each tenant, and what ingest and control hear."""

    broker: SecuredMosquitto
    passwords: dict[str, str]

    def device(self, tenant: str, **options: object) -> MqttClient:
        return MqttClient(self.broker.port, f"{tenant}/meter", self.passwords[tenant], **options)  # type: ignore[arg-type]

    def service(self, name: str) -> MqttClient:
        return MqttClient(self.broker.port, name, self.broker.passwords[name], client_id=unique(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    broker = SecuredMosquitto(tmp_path_factory.mktemp("broker")).start()
    passwords = {tenant: new_password() for tenant in ("acme", "globex")}
    for tenant, password in passwords.items():
        broker.access.grant(tenant, "meter", password)
    yield Site(broker, passwords)
    broker.stop()


@pytest.fixture
def heard(site: Site) -> Iterator[MqttClient]:
    """Ingest, and with it every message that counts as a device's."""
    with site.service(INGEST) as ingest:
        for leaf in ("telemetry", "attributes", "status", "children/+/telemetry"):
            assert ingest.subscribe(f"tenants/+/devices/+/{leaf}")
        for services in ("insula/live/wanted/+", "insula/replay/+"):
            assert ingest.subscribe(services)
        yield ingest


@pytest.fixture
def neighbour(site: Site) -> Iterator[MqttClient]:
    with site.device("globex") as device:
        for leaf in ("desired", "commands/+"):
            assert device.subscribe(f"{NEIGHBOUR}/{leaf}")
        yield device


LEAVES = (
    "telemetry",
    "attributes",
    "status",
    "desired",
    "commands/blink",
    "commands/blink/result",
    "children/lamp/telemetry",
)

ELSEWHERE = (
    "tenants/globex",
    "tenants/globex/devices",
    f"{NEIGHBOUR}/",
    f"/{NEIGHBOUR}/telemetry",
    f"{OWN}/../../../globex/devices/meter/telemetry",
    f"{OWN}/children/lamp/telemetry/x",
    f"{OWN}/desired",
    f"{OWN}/commands/blink",
    "tenants/ACME/devices/meter/telemetry",
    "tenants/acme/devices/meter2/telemetry",
    "tenants/acme/devices/telemetry",
    "tenants//devices/meter/telemetry",
    "$SYS/broker/uptime",
    "$share/ingest/tenants/globex/devices/meter/telemetry",
    DYNAMIC_SECURITY,
    "$CONTROL/broker/v1",
    "insula/live/values/globex",
    "insula/live/values/acme",
    "insula/live/wanted/globex",
    "insula/live/wanted/acme",
    "insula/replay/globex",
    "insula/replay/acme",
    "x",
)


@pytest.mark.parametrize("topic", [*(f"{NEIGHBOUR}/{leaf}" for leaf in LEAVES), *ELSEWHERE])
def test_nothing_is_said_in_a_neighbours_name_nor_left_for_it(
    site: Site, heard: MqttClient, neighbour: MqttClient, topic: str
):
    forged, own, order = unique("forged"), unique("own"), unique("order")
    for retain in (False, True):
        with site.device("acme") as intruder:
            assert intruder.publish(topic, forged, retain=retain) != "taken"
    with site.device("acme") as intruder:
        assert intruder.publish(f"{OWN}/telemetry", own) == "taken"
    with site.service(CONTROL) as control:
        assert control.publish(f"{NEIGHBOUR}/desired", order) == "taken"
    heard.wait_for(own)
    neighbour.wait_for(order)
    assert [one.payload for one in heard.received] == [own]
    assert [one.payload for one in neighbour.received] == [order]
    # Nothing waits there for whoever subscribes later.
    with site.device("globex") as later:
        assert later.subscribe(f"{NEIGHBOUR}/desired")
        with site.service(CONTROL) as control:
            control.publish(f"{NEIGHBOUR}/desired", f"{order} again")
        later.wait_for(f"{order} again")
        assert [one.payload for one in later.received] == [f"{order} again"]


@pytest.mark.parametrize(
    "topic", [f"{NEIGHBOUR}/status", f"{NEIGHBOUR}/telemetry", f"{NEIGHBOUR}/desired", DYNAMIC_SECURITY]
)
def test_a_last_will_says_nothing_that_its_device_may_not_say(
    site: Site, heard: MqttClient, neighbour: MqttClient, topic: str
):
    forged, own, order = unique("forged"), unique("own"), unique("order")
    intruder = site.device("acme", will=(topic, forged))
    if intruder.connect():
        intruder.vanish()
    else:
        intruder.close()
    good = site.device("acme", will=(f"{OWN}/status", own))
    assert good.connect()
    good.vanish()
    heard.wait_for(own)
    with site.service(CONTROL) as control:
        assert control.publish(f"{NEIGHBOUR}/desired", order) == "taken"
    neighbour.wait_for(order)
    assert forged not in [one.payload for one in (*heard.received, *neighbour.received)]


@pytest.mark.parametrize(
    "topic_filter",
    [
        *(f"{NEIGHBOUR}/{leaf}" for leaf in LEAVES),
        *("#", "+/#", "tenants/#", "tenants/+/devices/+/desired", "tenants/+/devices/meter/desired"),
        *("tenants/globex/#", "+/+/+/+/+", "tenants/acme/#", f"{OWN}/#", f"{OWN}/+", "$SYS/#", "$CONTROL/#"),
        *("$share/x/#", f"$share/x/{NEIGHBOUR}/desired", "$share/ingest/tenants/+/devices/+/telemetry"),
        f"$share/{INGEST}/tenants/+/devices/+/status",
        *("insula/#", "insula/live/values/+", "insula/live/values/acme", "insula/live/values/globex"),
        *(
            "insula/live/wanted/acme",
            "insula/replay/acme",
            "$share/x/insula/#",
            "$share/ingest/insula/replay/+",
        ),
    ],
)
def test_a_neighbour_is_never_overheard(
    site: Site, heard: MqttClient, neighbour: MqttClient, topic_filter: str
):
    private, order = unique("private"), unique("order")
    with site.device("acme") as intruder:
        assert not intruder.subscribe(topic_filter)
        assert intruder.subscribe(f"{OWN}/desired")
        for leaf in ("telemetry", "status", "commands/blink/result"):
            assert neighbour.publish(f"{NEIGHBOUR}/{leaf}", private) == "taken"
        with site.service(CONTROL) as control:
            for topic in (f"{NEIGHBOUR}/desired", f"{NEIGHBOUR}/commands/blink"):
                assert control.publish(topic, private) == "taken"
            assert control.publish(f"{OWN}/desired", order) == "taken"
        heard.wait_for(private)
        neighbour.wait_for(private)
        intruder.wait_for(order)
        assert [one.payload for one in intruder.received] == [order]


@pytest.mark.parametrize("client_id", ["globex/meter", "insula-ingest-0", CONTROL, INGEST, "", "acme/meter2"])
def test_nobody_is_pushed_out_by_its_client_id(site: Site, neighbour: MqttClient, client_id: str):
    ingest = MqttClient(
        site.broker.port, INGEST, site.broker.passwords[INGEST], client_id="insula-ingest-0", persistent=True
    )
    with ingest:
        assert ingest.subscribe("tenants/+/devices/+/telemetry")
        for persistent in (False, True):
            thief = site.device("acme", client_id=client_id, persistent=persistent)
            assert not thief.connect()
            thief.close()
        said = unique("reading")
        assert neighbour.publish(f"{NEIGHBOUR}/telemetry", said) == "taken"
        ingest.wait_for(said)
        assert not neighbour.closed
        assert not ingest.closed


def test_a_right_that_was_taken_delivers_nothing_to_the_session_that_had_it(site: Site):
    """What is queued for a persistent session does not reach a device that comes back under less."""
    site.broker.access.grant("acme", "lamp", password := new_password())
    lamp = MqttClient(site.broker.port, "acme/lamp", password, persistent=True)
    with lamp:
        assert lamp.subscribe("tenants/acme/devices/lamp/desired")
    with site.service(CONTROL) as control:
        assert control.publish("tenants/acme/devices/lamp/desired", unique("order"), retain=True) == "taken"
    site.broker.access.revoke("acme", "lamp")
    late = MqttClient(site.broker.port, "acme/lamp", password, persistent=True)
    assert not late.connect()
    late.close()
    with site.device("acme") as other:
        assert not other.subscribe("tenants/acme/devices/lamp/desired")
        assert other.received == []
