"""What a login may do at the broker: the same pairs of allowed and refused on Mosquitto and on amqtt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from insula_tenants.broker import (
    CONTROL,
    INGEST,
    PLATFORM,
    new_password,
)
from insula_tenants.broker.rules import DYNAMIC_SECURITY, DYNAMIC_SECURITY_RESPONSE
from insula_tenants.devices import create_device, set_password
from tests.conftest import Deployment
from tests.servers.amqtt import AmqttServer
from tests.servers.mosquitto import SecuredMosquitto
from tests.servers.mqtt import MqttClient, unique

ACME_1, ACME_2, GLOBEX_1 = ("acme", "meter-1"), ("acme", "meter-2"), ("globex", "meter-1")
OWN = "tenants/acme/devices/meter-1"


class Bench:
    """A running broker, logins for three devices, and how this broker grants and revokes."""

    def __init__(self, server: SecuredMosquitto | AmqttServer, deployment: Deployment) -> None:
        self.server = server
        self.kind = "mosquitto" if isinstance(server, SecuredMosquitto) else "amqtt"
        self.protocol = "5" if self.kind == "mosquitto" else "3.1.1"
        self._deployment = deployment
        self.passwords = {device: self.grant(*device) for device in (ACME_1, ACME_2, GLOBEX_1)}

    def grant(self, tenant: str, device: str) -> str:
        """A new password for the device, which is made if need be."""
        password = new_password()
        if isinstance(self.server, SecuredMosquitto):
            self.server.access.grant(tenant, device, password)
            return password
        with self._deployment.databases.tenant(getattr(self._deployment, tenant)) as session:
            if not session.scalar(text("SELECT 1 FROM devices WHERE slug = :slug"), {"slug": device}):
                create_device(session, device, name=device)
            set_password(session, device, password)
        return password

    def revoke(self, tenant: str, device: str) -> None:
        """Take the device's login."""
        if isinstance(self.server, SecuredMosquitto):
            self.server.access.revoke(tenant, device)
            return
        with self._deployment.databases.tenant(getattr(self._deployment, tenant)) as session:
            session.execute(
                text(
                    "DELETE FROM device_credentials"
                    " WHERE device_id = (SELECT id FROM devices WHERE slug = :slug)"
                ),
                {"slug": device},
            )

    def device(self, name: tuple[str, str], **options: object) -> MqttClient:
        """A client with the device's login."""
        return self.client("/".join(name), self.passwords[name], **options)

    def service(self, name: str, **options: object) -> MqttClient:
        """A client with a service's login."""
        return MqttClient(
            self.server.port,
            name,
            self.server.passwords[name],
            protocol=self.protocol,
            **{"client_id": unique(name), **options},
        )

    def client(self, username: str | None, password: str | None, **options: object) -> MqttClient:
        """A client with any login; its client id is its user name unless it says another."""
        return MqttClient(self.server.port, username, password, protocol=self.protocol, **options)


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def bench(
    request: pytest.FixtureRequest, deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("broker")
    server: SecuredMosquitto | AmqttServer
    if request.param == "mosquitto":
        server = SecuredMosquitto(directory).start()
    else:
        server = AmqttServer(directory, deployment.service_url).start()
    yield Bench(server, deployment)
    server.stop()


@pytest.fixture
def ingest(bench: Bench) -> Iterator[MqttClient]:
    with bench.service(INGEST) as client:
        for leaf in ("telemetry", "attributes", "status", "children/+/telemetry"):
            assert client.subscribe(f"tenants/+/devices/+/{leaf}")
        yield client


@pytest.fixture
def control(bench: Bench) -> Iterator[MqttClient]:
    with bench.service(CONTROL) as client:
        assert client.subscribe("tenants/+/devices/+/commands/+/result")
        yield client


# What a device publishes


@pytest.mark.parametrize("leaf", ["telemetry", "attributes", "status", "children/lamp-7/telemetry"])
def test_ingest_hears_what_a_device_publishes_on_its_own_topics(bench: Bench, ingest: MqttClient, leaf: str):
    payload = unique("reading")
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/{leaf}", payload) == "taken"
    assert ingest.wait_for(payload).topic == f"{OWN}/{leaf}"


@pytest.mark.parametrize(
    "topic",
    [
        "tenants/acme/devices/meter-2/telemetry",
        "tenants/acme/devices/meter-2/children/meter-1/telemetry",
        "tenants/globex/devices/meter-1/telemetry",
        "tenants/globex/devices/meter-1/status",
        "tenants/acme/devices/meter-1x/telemetry",
        "tenants/acme/devices/meter-2/own/online",
    ],
)
def test_a_device_cannot_speak_for_another(bench: Bench, ingest: MqttClient, topic: str):
    forged, own = unique("forged"), unique("own")
    with bench.device(ACME_1) as device:
        said = device.publish(topic, forged)
    with bench.device(ACME_1) as device:  # Debian's Mosquitto 2.0.11 says no, and hangs up
        assert device.publish(f"{OWN}/telemetry", own) == "taken"
    ingest.wait_for(own)
    assert [one.payload for one in ingest.received] == [own]
    assert said == ("refused" if bench.protocol == "5" else "taken")


def test_gear_that_has_topics_of_its_own_keeps_them_below_its_name(bench: Bench, ingest: MqttClient):
    """Shelly and Tasmota say more than they are asked: nobody hears it, and it costs them no connection."""
    own, will = unique("own"), (f"{OWN}/own/tele/LWT", unique("offline"))
    with bench.device(ACME_1, will=will) as device:
        assert device.publish(f"{OWN}/own/tele/STATE", unique("state"), retain=True) == "taken"
        assert not device.subscribe(f"{OWN}/own/#")
        assert device.publish(f"{OWN}/telemetry", own) == "taken"
    ingest.wait_for(own)
    assert [one.payload for one in ingest.received] == [own]


def test_control_hears_a_commands_result_from_its_own_device_only(bench: Bench, control: MqttClient):
    forged, own = unique("forged"), unique("own")
    with bench.device(ACME_1) as device:
        device.publish("tenants/globex/devices/meter-1/commands/blink/result", forged)
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/commands/blink/result", own) == "taken"
    control.wait_for(own)
    assert [one.payload for one in control.received] == [own]


def test_only_the_platform_gives_orders(bench: Bench, control: MqttClient):
    forged, order = unique("forged"), unique("order")
    with bench.device(ACME_2) as target:
        assert target.subscribe("tenants/acme/devices/meter-2/desired")
        assert target.subscribe("tenants/acme/devices/meter-2/commands/+")
        for leaf in ("desired", "commands/blink"):
            with bench.device(ACME_1) as device:
                device.publish(f"tenants/acme/devices/meter-2/{leaf}", forged)
        assert control.publish("tenants/acme/devices/meter-2/commands/blink", order) == "taken"
        target.wait_for(order)
        assert [one.payload for one in target.received] == [order]


@pytest.mark.parametrize("topic", [DYNAMIC_SECURITY, f"{DYNAMIC_SECURITY}/response", "$SYS/broker/version"])
def test_the_brokers_own_topics_are_closed_to_devices(bench: Bench, control: MqttClient, topic: str):
    if bench.kind == "mosquitto":
        assert control.subscribe(DYNAMIC_SECURITY_RESPONSE)
    forged, own = unique("forged"), unique("own")
    with bench.device(ACME_1) as device:
        said = device.publish(topic, forged)
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/commands/blink/result", own) == "taken"
    control.wait_for(own)
    assert [one.payload for one in control.received] == [own]
    assert said in (("refused",) if bench.kind == "mosquitto" else ("taken", "closed"))


def test_ingest_only_listens(bench: Bench, ingest: MqttClient):
    forged, own = unique("forged"), unique("own")
    with bench.service(INGEST) as other:
        other.publish(f"{OWN}/telemetry", forged)
    with bench.device(ACME_1) as device:
        device.publish(f"{OWN}/telemetry", own)
    ingest.wait_for(own)
    assert [one.payload for one in ingest.received] == [own]


def test_a_last_will_reaches_ingest_on_the_devices_own_status(bench: Bench, ingest: MqttClient):
    offline = unique("offline")
    device = bench.device(ACME_1, will=(f"{OWN}/status", offline))
    assert device.connect()
    device.vanish()
    assert ingest.wait_for(offline).topic == f"{OWN}/status"


def test_a_last_will_cannot_speak_for_another(bench: Bench, ingest: MqttClient):
    forged, own = unique("forged"), unique("own")
    device = bench.device(ACME_1, will=("tenants/globex/devices/meter-1/status", forged))
    if device.connect():
        device.vanish()
    else:
        device.close()
    # Connecting again ends what is left of the old session, its last will included.
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/telemetry", own) == "taken"
    ingest.wait_for(own)
    assert [one.payload for one in ingest.received] == [own]


# What a device subscribes to


@pytest.mark.parametrize("leaf", ["desired", "commands/blink"])
def test_a_device_hears_its_orders(bench: Bench, control: MqttClient, leaf: str):
    order = unique("order")
    with bench.device(ACME_1) as device:
        assert device.subscribe(f"{OWN}/{'commands/+' if leaf.startswith('commands') else leaf}")
        assert control.publish(f"{OWN}/{leaf}", order) == "taken"
        assert device.wait_for(order).topic == f"{OWN}/{leaf}"


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "+/#",
        "tenants/#",
        "tenants/+/devices/+/telemetry",
        "tenants/+/devices/+/desired",
        "tenants/acme/devices/+/desired",
        "tenants/acme/devices/meter-2/desired",
        "tenants/globex/devices/meter-1/commands/+",
        "tenants/acme/devices/meter-1/#",
        "tenants/acme/devices/meter-1/telemetry",
        "$share/x/tenants/#",
        "$share/ingest/tenants/+/devices/+/telemetry",
        "$share/x/tenants/acme/devices/meter-2/desired",
        "$SYS/#",
        DYNAMIC_SECURITY_RESPONSE,
    ],
)
def test_a_device_cannot_listen_beyond_its_own_orders(bench: Bench, control: MqttClient, topic_filter: str):
    order = unique("order")
    with bench.device(ACME_1) as device, bench.device(GLOBEX_1) as neighbour:
        assert not device.subscribe(topic_filter)
        assert device.subscribe(f"{OWN}/desired")
        neighbour.publish("tenants/globex/devices/meter-1/telemetry", unique("private"))
        control.publish("tenants/acme/devices/meter-2/desired", unique("private"))
        control.publish("tenants/globex/devices/meter-1/commands/blink", unique("private"))
        assert control.publish(f"{OWN}/desired", order) == "taken"
        device.wait_for(order)
        assert [one.payload for one in device.received] == [order]


@pytest.mark.parametrize(
    "topic_filter", ["#", "tenants/+/devices/+/desired", "tenants/+/devices/+/commands/+"]
)
def test_ingest_hears_what_devices_send_it_and_nothing_else(
    bench: Bench, ingest: MqttClient, topic_filter: str
):
    assert not ingest.subscribe(topic_filter)
    assert ingest.subscribe("tenants/+/devices/+/telemetry")


def test_a_neighbours_retained_status_is_not_sent_to_whoever_connects(
    bench: Bench, ingest: MqttClient, control: MqttClient
):
    online, order = unique("online"), unique("order")
    with bench.device(GLOBEX_1) as neighbour:
        assert neighbour.publish("tenants/globex/devices/meter-1/status", online, retain=True) == "taken"
    ingest.wait_for(online)
    with bench.device(ACME_1) as device:
        assert device.subscribe(f"{OWN}/desired")
        assert control.publish(f"{OWN}/desired", order) == "taken"
        device.wait_for(order)
        assert [one.payload for one in device.received] == [order]


def test_a_retained_desired_state_waits_for_its_device(bench: Bench, control: MqttClient):
    order = unique("order")
    assert control.publish(f"{OWN}/desired", order, retain=True) == "taken"
    with bench.device(ACME_1) as device:
        assert device.subscribe(f"{OWN}/desired")
        device.wait_for(order)
    assert control.publish(f"{OWN}/desired", "", retain=True) == "taken"


# Who gets in


@pytest.mark.parametrize("name", [ACME_1, ACME_2, GLOBEX_1])
def test_a_device_gets_in_with_its_own_password_and_no_other(bench: Bench, name: tuple[str, str]):
    with bench.device(name):
        pass
    others = [password for device, password in bench.passwords.items() if device != name]
    for password in (*others, bench.passwords[name] + "x", bench.passwords[name][:-1], "", None):
        stranger = bench.client("/".join(name), password)
        assert not stranger.connect()
        stranger.close()


@pytest.mark.parametrize(
    "username",
    [
        None,
        "",
        "acme",
        "acme/",
        "/meter-1",
        "acme/+",
        "acme/#",
        "+/meter-1",
        "+/+",
        "#",
        "acme/meter-1/telemetry",
        "acme/meter-3",
        "nobody/meter-1",
        "ACME/meter-1",
        "insula-nothing",
        INGEST,
        CONTROL,
    ],
)
def test_whoever_is_no_device_is_turned_away(bench: Bench, username: str | None):
    stranger = bench.client(username, None if username is None else bench.passwords[ACME_1])
    assert not stranger.connect()
    stranger.close()


def test_a_new_password_counts_at_once_and_ends_the_session_of_the_old_one(bench: Bench):
    name = ("acme", unique("rotated"))
    old = bench.grant(*name)
    client = bench.client("/".join(name), old)
    assert client.connect()
    new = bench.grant(*name)
    client.wait_closed()
    client.close()
    with bench.client("/".join(name), new):
        pass
    stale = bench.client("/".join(name), old)
    assert not stale.connect()
    stale.close()


def test_revoking_ends_the_live_session_and_keeps_the_device_out(bench: Bench, ingest: MqttClient):
    name = ("acme", unique("revoked"))
    topic, before = f"tenants/acme/devices/{name[1]}/telemetry", unique("before")
    password = bench.grant(*name)
    client = bench.client("/".join(name), password)
    assert client.connect()
    assert client.publish(topic, before) == "taken"
    ingest.wait_for(before)
    with bench.device(ACME_1) as neighbour:
        bench.revoke(*name)
        client.wait_closed()
        client.close()
        again = bench.client("/".join(name), password)
        assert not again.connect()
        again.close()
        assert neighbour.publish(f"{OWN}/telemetry", unique("still")) == "taken"
    bench.revoke(*name)
    with bench.client("/".join(name), bench.grant(*name)):
        pass


# Sessions


def test_a_device_cannot_end_a_session_by_taking_its_client_id(bench: Bench, ingest: MqttClient):
    kept = bench.service(INGEST, client_id="insula-ingest-0", persistent=True)
    assert kept.connect()
    assert kept.subscribe("tenants/+/devices/+/telemetry")

    def steal() -> None:
        for persistent in (False, True):
            for client_id in ("insula-ingest-0", "acme/meter-2"):
                for username, password in (
                    ("acme/meter-1", bench.passwords[ACME_1]),
                    ("acme/meter-1", "guessed"),
                    ("acme/meter-2", "guessed"),
                    (INGEST, "guessed"),
                    (None, None),
                ):
                    thief = bench.client(username, password, client_id=client_id, persistent=persistent)
                    assert not thief.connect()
                    thief.close()

    with bench.device(ACME_2) as victim:
        steal()
        payload, waiting = unique("reading"), unique("reading")
        assert victim.publish("tenants/acme/devices/meter-2/telemetry", payload) == "taken"
        kept.wait_for(payload)
        kept.close()
        # Nor while ingest is away: what arrives then waits for it.
        assert victim.publish("tenants/acme/devices/meter-2/telemetry", waiting) == "taken"
        ingest.wait_for(waiting)
        steal()
        assert not victim.closed
    kept = bench.service(INGEST, client_id="insula-ingest-0", persistent=True)
    assert kept.connect()
    kept.wait_for(waiting)
    kept.close()


@pytest.mark.parametrize("client_id", ["", "meter-1", "acme/meter-1/", "globex/meter-1"])
def test_a_devices_client_id_is_its_user_name(bench: Bench, client_id: str):
    with bench.device(ACME_1):
        pass
    other = bench.device(ACME_1, client_id=client_id)
    assert not other.connect()
    other.close()


@pytest.mark.parametrize("persistent", [False, True])
def test_a_device_that_connects_again_ends_its_older_connection(
    bench: Bench, control: MqttClient, persistent: bool
):
    name = ("acme", unique("twin"))
    topic = f"tenants/acme/devices/{name[1]}/desired"
    password = bench.grant(*name)
    older, newer = (bench.client("/".join(name), password, persistent=persistent) for _ in range(2))
    assert older.connect()
    assert older.subscribe(topic)
    assert newer.connect()
    older.wait_closed()
    older.close()
    assert newer.subscribe(topic)
    order = unique("order")
    assert control.publish(topic, order) == "taken"
    newer.wait_for(order)
    bench.revoke(*name)
    newer.wait_closed()
    newer.close()


def test_what_ingest_has_not_acknowledged_comes_again(bench: Bench):
    client_id = unique("insula-ingest")
    payloads = [unique("reading") for _ in range(5)]
    first = bench.service(INGEST, client_id=client_id, persistent=True, acknowledge=False)
    assert first.connect()
    assert first.subscribe("tenants/+/devices/+/telemetry")
    with bench.device(ACME_1) as device:
        for payload in payloads[:3]:
            assert device.publish(f"{OWN}/telemetry", payload) == "taken"
        first.wait_for(payloads[2])
        first.vanish()
        for payload in payloads[3:]:
            assert device.publish(f"{OWN}/telemetry", payload) == "taken"
    second = bench.service(INGEST, client_id=client_id, persistent=True)
    assert second.connect()
    for payload in payloads:
        second.wait_for(payload)
    second.close()


# What the services say among themselves


@pytest.fixture
def platform(bench: Bench) -> Iterator[MqttClient]:
    with bench.service(PLATFORM) as client:
        assert client.subscribe("insula/live/values/+")
        yield client


SERVICES_TOPICS = ("insula/live/wanted/acme", "insula/live/values/acme", "insula/replay/acme")


def test_ingest_hears_what_the_platform_wants_and_the_platform_what_is_committed(
    bench: Bench, platform: MqttClient
):
    wanted, replay, values = unique("wanted"), unique("replay"), unique("values")
    with bench.service(INGEST) as ingest:
        assert ingest.subscribe("insula/live/wanted/+")
        assert ingest.subscribe("insula/replay/+")
        assert platform.publish("insula/live/wanted/acme", wanted) == "taken"
        assert platform.publish("insula/replay/acme", replay) == "taken"
        ingest.wait_for(wanted)
        ingest.wait_for(replay)
        assert ingest.publish("insula/live/values/acme", values) == "taken"
        platform.wait_for(values)


@pytest.mark.parametrize("topic", [*SERVICES_TOPICS, "insula/live/values/globex", "insula/x"])
def test_a_device_says_nothing_in_the_services_names(
    bench: Bench, ingest: MqttClient, platform: MqttClient, topic: str
):
    for wanted in ("insula/live/wanted/+", "insula/replay/+"):
        assert ingest.subscribe(wanted)
    forged, own, values = unique("forged"), unique("own"), unique("values")
    with bench.device(ACME_1) as device:
        said = device.publish(topic, forged)
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/telemetry", own) == "taken"
    ingest.wait_for(own)
    assert ingest.publish("insula/live/values/acme", values) == "taken"
    platform.wait_for(values)
    assert forged not in [one.payload for one in ingest.received]
    assert [one.payload for one in platform.received] == [values]
    assert said != "taken" or bench.protocol == "3.1.1"


@pytest.mark.parametrize("topic_filter", [*SERVICES_TOPICS, "insula/#", "insula/live/values/+", "+/live/#"])
def test_a_device_hears_nothing_of_the_services(bench: Bench, platform: MqttClient, topic_filter: str):
    with bench.device(ACME_1) as device:
        assert not device.subscribe(topic_filter)
    with bench.service(INGEST) as ingest:
        values = unique("values")
        assert ingest.publish("insula/live/values/acme", values) == "taken"
    platform.wait_for(values)
    assert device.received == []


@pytest.mark.parametrize(
    "topic_filter", ["tenants/#", "tenants/+/devices/+/telemetry", "insula/replay/+", "#"]
)
def test_the_platforms_own_login_hears_live_values_alone(bench: Bench, topic_filter: str):
    with bench.service(PLATFORM) as platform:
        assert not platform.subscribe(topic_filter)
        assert platform.subscribe("insula/live/values/acme")


def test_the_platforms_own_login_says_nothing_in_a_devices_name(
    bench: Bench, ingest: MqttClient, platform: MqttClient
):
    forged, own = unique("forged"), unique("own")
    with bench.service(PLATFORM) as other:
        for topic in (f"{OWN}/telemetry", "insula/live/values/acme"):
            other.publish(topic, forged)
    with bench.device(ACME_1) as device:
        assert device.publish(f"{OWN}/telemetry", own) == "taken"
    ingest.wait_for(own)
    assert forged not in [one.payload for one in ingest.received]
    assert platform.received == []
