"""amqtt as the broker where Mosquitto is missing: in Python, right for a first look.

What amqtt 0.12 cannot do, and what ingest does differently on it:

- MQTT 3.1.1 only: connect with `protocol=MQTTv311` and `clean_session=False`. MQTT 5 is turned away.
  There is no receive maximum: what is in flight is bounded by nothing, so acknowledge in small batches.
- No shared subscriptions: subscribe to the plain filters, from one process. `$share/…` is refused.
- A refused publish is acknowledged and dropped: MQTT 3.1.1 has no way to say no.
- What arrives while ingest is away is kept for its session, in memory, and comes with the retain flag set.
  What it has not acknowledged within five seconds, or when its connection ends, is kept likewise and comes
  again after it reconnects. **A restart of this process loses all that**, the retained messages too.
- About a tenth of Mosquitto's speed.
"""

from __future__ import annotations

import asyncio
import logging
import signal

from amqtt.broker import Broker, RetainedApplicationMessage
from amqtt.contexts import Action, ListenerConfig
from amqtt.errors import AMQTTError, MQTTError
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import OutgoingApplicationMessage, Session
from pydantic import Field, SecretStr

from insula_platform.broker.decisions import Decisions
from insula_platform.broker.device_logins import DeviceLogins
from insula_platform.broker.gate import Gate
from insula_platform.diagnostics.refusals import RefusalBook
from insula_tenants.broker.refusals import Refusals
from insula_tenants.database import Databases
from insula_tenants.settings import TenantsSettings

log = logging.getLogger("insula.broker")

LISTENER = "default"


class AmqttSettings(TenantsSettings):
    """What the broker process is told."""

    broker_port: int = Field(ge=1, le=65535, description="Loopback port of the broker that Insula starts.")
    broker_services: dict[str, SecretStr] = Field(
        description="Passwords of the services at the broker, by login, as a JSON object."
    )


class GuardedBroker(Broker):  # type: ignore[misc] # amqtt ships no types
    """amqtt under our rules. Its sessions' user names are true: the gate has checked them."""

    def __init__(self, decisions: Decisions) -> None:
        """The only listener is the gate's."""
        self._decisions = decisions
        super().__init__({"listeners": {LISTENER: {"type": "external"}}, "plugins": {}})

    async def _authenticate(self, _session: Session, _listener: ListenerConfig) -> bool:
        return True

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        # No await in here: `_run_broadcast` loops over subscriptions that must not change meanwhile.
        username = session.username or ""
        if action == Action.PUBLISH:
            return self._decisions.may_publish(username, topic)
        if action == Action.RECEIVE:
            return self._decisions.may_receive(username, topic)
        return not topic.startswith("$") and self._decisions.may_subscribe(username, topic)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # When a client connects, amqtt calls this for the filters of every session there is.
        topic_filter, _ = subscription
        holders = self.subscriptions.get(topic_filter, ())
        if any(holder.client_id == session.client_id for holder, _ in holders):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def _initialize_client_session(self, *connection: object) -> tuple[BrokerProtocolHandler, Session]:
        handler, session = await super()._initialize_client_session(*connection)
        publish = handler.mqtt_publish

        async def publish_or_keep(
            topic: str, data: bytes, qos: int | None, retain: bool
        ) -> OutgoingApplicationMessage | None:
            # amqtt forgets a message that is not acknowledged in time, or before the connection ends.
            try:
                return await publish(topic, data, qos, retain)
            except (AMQTTError, MQTTError, OSError, TimeoutError, asyncio.CancelledError):
                if not qos or session.clean_session:
                    return None
                await session.retained_messages.put(RetainedApplicationMessage(None, topic, data, qos))
                return None

        handler.mqtt_publish = publish_or_keep
        return handler, session


async def serve(settings: AmqttSettings) -> None:
    """Run the broker until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    databases = Databases(settings.service_urls(), application_name="insula-broker")
    logins = DeviceLogins(databases)
    refusals = Refusals()
    book = RefusalBook(databases, refusals)
    decisions = Decisions(logins, settings.broker_services, refusals)
    broker = GuardedBroker(decisions)
    gate = Gate(broker, LISTENER, logins, decisions)
    await broker.start()
    server = await asyncio.start_server(gate.accept, "127.0.0.1", settings.broker_port)
    log.warning(
        "amqtt listens on 127.0.0.1:%d. It is right for a first look: MQTT 3.1.1 only, no shared "
        "subscriptions, about a tenth of Mosquitto's speed, and what it holds is lost when it stops",
        settings.broker_port,
    )
    watch, stop = asyncio.create_task(gate.watch()), asyncio.create_task(stopped.wait())
    writing = asyncio.create_task(book.keep())
    await asyncio.wait((watch, stop), return_when=asyncio.FIRST_COMPLETED)
    server.close()
    await broker.shutdown()
    book.stop()
    await writing
    databases.close()
    if watch.done():  # without its watch a broker would not hear of revoked devices
        watch.result()
    watch.cancel()


def main() -> None:
    """Entry point of `python -m insula_platform.broker.amqtt_broker`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    asyncio.run(serve(AmqttSettings()))


if __name__ == "__main__":
    main()
