"""From a publish on a real broker to rows in the tenant's schema."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from insula_ingest import codecs
from insula_ingest.codecs import Decoded, Reason
from insula_ingest.settings import IngestSettings
from insula_tenants.administration import Administration
from insula_tenants.broker import RegistryReader
from insula_tenants.context import TenantContext
from insula_tenants.devices import Device, Point, create_device
from insula_tenants.lifecycle import erase_tenant, request_deletion, resume_tenant, suspend_tenant
from insula_tenants.migrate import head
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.telemetry.models import DeadLetter, Latest, Reading
from insula_tenants.usage import UsageGauge
from tests.conftest import Deployment
from tests.ingest.conftest import RunningIngest
from tests.waiting import eventually

Publish = Callable[[str, bytes], None]
TOPIC = "tenants/acme/devices/desk-1/telemetry"
NOW = datetime.now(UTC).replace(microsecond=0)


def readings(deployment: Deployment, context: TenantContext) -> list[tuple[str, datetime, float]]:
    """All readings of a tenant as (point, time, value), sorted."""
    with deployment.databases.tenant(context) as session:
        rows = session.execute(
            select(Point.name, Reading.time, Reading.value)
            .join(Reading, Reading.point_id == Point.id)
            .order_by(Point.name, Reading.time)
        )
        return [(name, time, value) for name, time, value in rows]


def dead_letters(deployment: Deployment, context: TenantContext) -> list[DeadLetter]:
    """All dead letters of a tenant, oldest first."""
    with deployment.databases.tenant(context) as session:
        found = list(session.scalars(select(DeadLetter).order_by(DeadLetter.id)))
        session.expunge_all()
        return found


def limit(deployment: Deployment, **quotas: int | None) -> None:
    """Set limits of acme's own; ingest must not have heard of the tenant yet."""
    with deployment.databases.core() as core:
        core.execute(
            text("UPDATE tenants SET quotas = :quotas WHERE slug = 'acme'"), {"quotas": json.dumps(quotas)}
        )


def telemetry(value: float, *, second: int = 0, point: str = "temperature") -> bytes:
    at = int(NOW.timestamp() * 1000) + second * 1000
    return json.dumps({"ts": at, "values": {point: value}}).encode()


def test_a_reading_arrives_in_its_own_tenant_alone(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    publish(TOPIC, telemetry(21.5))
    assert eventually(lambda: readings(devices, devices.acme)) == [("temperature", NOW, 21.5)]
    assert readings(devices, devices.globex) == []


def test_a_reading_that_comes_twice_is_stored_once_and_a_corrected_one_replaces_it(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    for value in (21.5, 21.5, 22.0):
        publish(TOPIC, telemetry(value))
    assert eventually(lambda: [row for row in readings(devices, devices.acme) if row[2] == 22.0]) == [
        ("temperature", NOW, 22.0)
    ]


def test_latest_is_the_newest_by_time_not_by_arrival(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    publish(TOPIC, telemetry(1.0, second=10))
    eventually(lambda: len(readings(devices, devices.acme)) == 1)
    publish(TOPIC, telemetry(2.0, second=5))
    eventually(lambda: len(readings(devices, devices.acme)) == 2)
    with devices.databases.tenant(devices.acme) as session:
        assert session.scalars(select(Latest.value)).all() == [1.0]


def test_readings_of_years_apart_are_stored(devices: Deployment, ingest: RunningIngest, publish: Publish):
    limit(devices, retention_days=None)
    times = [datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC) for year in (2001, 2015, 2024)]
    publish(TOPIC, json.dumps([{"ts": at.isoformat(), "values": {"x": at.year}} for at in times]).encode())
    assert eventually(lambda: readings(devices, devices.acme)) == [("x", at, float(at.year)) for at in times]


BAD_PAYLOADS = {
    b"hello": Reason.MALFORMED,
    b'{"temperature": NaN}': Reason.MALFORMED,
    b'{"temperature": "warm"}': Reason.BAD_VALUE,
    b'{"temperature": 1e400}': None,
    b'{"temperature": ' + b"9" * 500 + b"}": None,
    b'{"ts": "9999-12-31T23:59:59Z", "values": {"temperature": 1}}': Reason.IMPLAUSIBLE_TIME,
    b'{"temp\xff\xfe": 1}': Reason.MALFORMED,
    b'{"' + b"x" * 2_000_000 + b'": 1}': Reason.TOO_LARGE,
}


def test_malformed_payloads_between_good_ones_become_dead_letters(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    good = []
    for second, payload in enumerate(BAD_PAYLOADS):
        publish(TOPIC, payload)
        publish(TOPIC, telemetry(float(second), second=second))
        good.append(float(second))
    eventually(lambda: len(readings(devices, devices.acme)) == len(good))
    assert [value for _, _, value in readings(devices, devices.acme)] == good
    letters = eventually(lambda: dead_letters(devices, devices.acme))
    assert len(letters) == len(BAD_PAYLOADS)
    for letter, (payload, reason) in zip(letters, BAD_PAYLOADS.items(), strict=True):
        assert letter.payload == payload[: 64 * 1024]
        assert letter.payload_bytes == len(payload)
        assert reason is None or letter.reason == reason
        assert letter.detail
        assert letter.topic == TOPIC
    assert dead_letters(devices, devices.globex) == []


def test_the_good_values_of_a_half_bad_message_are_stored(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    publish(TOPIC, json.dumps({"ts": NOW.isoformat(), "values": {"a": 1, "b": None, "c": True}}).encode())
    assert eventually(lambda: readings(devices, devices.acme)) == [("a", NOW, 1.0), ("c", NOW, 1.0)]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.BAD_VALUE
    assert letter.detail.startswith("b: None")


def test_the_same_bad_message_again_only_counts_up(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    for _ in range(3):
        publish(TOPIC, b"garbage")
    eventually(lambda: [letter.times for letter in dead_letters(devices, devices.acme)] == [3])


def test_an_unknown_device_is_a_dead_letter_until_it_is_registered(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    topic = TOPIC.replace("desk-1", "desk-2")
    publish(topic, telemetry(1.0))
    (letter,) = eventually(lambda: dead_letters(devices, devices.acme))
    assert letter.reason == Reason.UNKNOWN_DEVICE
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "desk-2", name="Desk 2")
    publish(topic, telemetry(2.0))
    assert eventually(lambda: readings(devices, devices.acme)) == [("temperature", NOW, 2.0)]


def test_a_device_may_name_only_so_many_points(
    ingest_settings: IngestSettings, devices: Deployment, publish: Publish
):
    running = RunningIngest(ingest_settings.model_copy(update={"ingest_max_points_per_device": 3})).start()
    values = {f"p{number}": number for number in range(5)}
    publish(TOPIC, json.dumps({"ts": NOW.isoformat(), "values": values}).encode())
    assert [row[0] for row in eventually(lambda: readings(devices, devices.acme))] == ["p0", "p1", "p2"]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.TOO_MANY_POINTS
    assert "p3" in letter.detail
    assert "p4" in letter.detail
    running.stop()


@pytest.mark.parametrize(
    ("quotas", "made"),
    [({"points": 2}, 2), ({"points": 2, "storage_bytes": 1}, 0), ({"storage_bytes": 1}, 0)],
)
def test_new_points_end_at_the_tenants_quota_and_known_ones_go_on(
    ingest_settings: IngestSettings,
    devices: Deployment,
    publish: Publish,
    quotas: dict[str, int],
    made: int,
):
    """With a storage that is over its quota, too: what devices send of known points is never refused."""
    limit(devices, **{name: 3 if name == "points" else most for name, most in quotas.items()})
    with devices.databases.tenant(devices.acme) as session:
        device = session.scalars(select(Device.id)).one()
        session.add(Point(device_id=device, name="known"))
    with devices.databases.core() as core:
        core.add(UsageGauge(tenant_id=devices.acme.id, day=NOW.date(), devices=1, points=1, storage_bytes=2))
    running = RunningIngest(ingest_settings).start()
    values = {"known": 1.0, "new-1": 1.0, "new-2": 1.0, "new-3": 1.0}
    publish(TOPIC, json.dumps({"ts": NOW.isoformat(), "values": values}).encode())
    stored = eventually(lambda: readings(devices, devices.acme))
    assert [row[0] for row in stored] == ["known", "new-1", "new-2", "new-3"][: 1 + made]
    assert {letter.reason for letter in dead_letters(devices, devices.acme)} == {Reason.TOO_MANY_POINTS}
    running.stop()


def test_messages_sent_while_ingest_is_away_are_kept_by_the_broker(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    RunningIngest(ingest_settings).start().stop()
    for second in range(2500):
        publish(TOPIC, telemetry(float(second), second=second))
    running = RunningIngest(ingest_settings).start()
    eventually(lambda: len(readings(devices, devices.acme)) == 2500)
    running.stop()


def test_a_tenant_whose_schema_is_of_another_release_is_held_and_the_others_go_on(
    devices: Deployment, ingest: RunningIngest, publish: Publish, caplog: pytest.LogCaptureFixture
):
    with devices.databases.core() as core:
        core.execute(text("UPDATE tenants SET schema_version = 'future' WHERE slug = 'globex'"))
    publish(TOPIC.replace("acme", "globex"), telemetry(1.0))
    publish(TOPIC, telemetry(2.0))
    assert eventually(lambda: readings(devices, devices.acme)) == [("temperature", NOW, 2.0)]
    assert eventually(lambda: [line.message for line in caplog.records if "globex" in line.message]) == [
        "tenant globex is held back: tenant 'globex' is at schema version future, "
        f"this release needs {head('tenant')}: run `insula migrate`; the broker keeps its messages"
    ]
    with devices.databases.tenant(devices.globex) as session:
        assert session.scalar(select(Device.slug)) == "desk-1"
    assert readings(devices, devices.globex) == []


def test_what_a_suspended_tenant_sends_is_put_aside_until_it_is_resumed(
    devices: Deployment, ingest: RunningIngest, publish: Publish
):
    publish(TOPIC, telemetry(1.0))
    eventually(lambda: readings(devices, devices.acme))
    with devices.databases.core() as core:
        suspend_tenant(core, "acme", "unpaid")
    suspended_at = time.monotonic()

    def put_aside() -> list[DeadLetter]:
        publish(TOPIC, telemetry(time.monotonic(), second=5))
        return dead_letters(devices, devices.acme)

    (letter,) = eventually(put_aside, seconds=5)[:1]
    assert time.monotonic() - suspended_at < 2.5
    assert (letter.reason, letter.detail) == (Reason.SUSPENDED, "tenant 'acme' is suspended: unpaid")
    with devices.databases.core() as core:
        resume_tenant(core, "acme")

    def stored_again() -> bool:
        publish(TOPIC, telemetry(3.0, second=9))
        return 3.0 in {value for _, _, value in readings(devices, devices.acme)}

    eventually(stored_again, seconds=5)


def test_an_erased_tenant_does_not_stop_ingest_for_the_others(
    devices: Deployment, ingest: RunningIngest, publish: Publish, caplog: pytest.LogCaptureFixture
):
    with closing(Administration({"main": devices.admin_url})) as admins:
        create_tenant(admins, "ingest-gone", "Gone")
        with devices.databases.core() as core:
            gone = resolve_tenant(core, "ingest-gone")
        with devices.databases.tenant(gone) as session:
            create_device(session, "desk-1", name="Desk 1")
        topic = TOPIC.replace("acme", "ingest-gone")
        publish(topic, telemetry(1.0))
        eventually(lambda: readings(devices, gone))
        with devices.databases.core() as core:
            request_deletion(core, "ingest-gone", timedelta(0))
        erase_tenant(admins, RegistryReader(), gone.id, lambda _claims: "receipt")
    # At once: ingest still believes in the tenant, its device and its point.
    publish(topic, telemetry(2.0, second=1))
    publish(topic, telemetry(3.0, second=2, point="another"))
    publish(TOPIC, telemetry(4.0))
    assert eventually(lambda: readings(devices, devices.acme)) == [("temperature", NOW, 4.0)]
    eventually(lambda: "does not exist; dropped" in caplog.text)
    assert "held back" not in caplog.text


def usage(deployment: Deployment) -> dict[str, int]:
    """What acme used in all."""
    with deployment.databases.core() as core:
        query = text(
            "SELECT metric, sum(amount) FROM usage_daily JOIN tenants ON id = tenant_id"
            " WHERE slug = 'acme' GROUP BY metric"
        )
        return {metric: int(amount) for metric, amount in core.execute(query)}


def test_a_flooding_device_is_throttled_told_of_once_and_its_neighbour_is_not(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("insula_ingest.door.CATCH_UP", 10.0)
    limit(devices, device_messages_per_second=1)
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "desk-2", name="Desk 2")
    running = RunningIngest(ingest_settings).start()
    for second in range(100):
        publish(TOPIC, telemetry(float(second), second=second))
    publish(TOPIC.replace("desk-1", "desk-2"), telemetry(1.0, point="other"))
    eventually(lambda: any(point == "other" for point, _, _ in readings(devices, devices.acme)))
    running.stop()
    stored = [value for point, _, value in readings(devices, devices.acme) if point == "temperature"]
    assert stored[:10] == [float(second) for second in range(10)]
    assert len(stored) < 50
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.OVER_QUOTA
    assert letter.device == "desk-1"
    assert "1 messages a second of a device" in letter.detail
    counted = usage(devices)
    assert counted["throttled"] == 100 - len(stored)
    assert counted["messages"] == len(stored) + 2  # one with the letter, one of the neighbour
    assert counted["values"] == len(stored) + 1
    assert counted["dead_letters"] == 1


def test_garbage_is_paid_for_as_values_are_and_what_is_over_is_not_even_read(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    """A payload of a megabyte of it takes a second of the time that all tenants share."""
    read: list[bytes] = []

    def decode(payload: bytes, received_at: int) -> Decoded:
        read.append(payload)
        return codecs.decode(payload, received_at)

    monkeypatch.setattr("insula_ingest.batch.decode", decode)
    monkeypatch.setattr("insula_ingest.door.CATCH_UP", 10.0)
    limit(devices, device_values_per_second=10)
    with devices.databases.tenant(devices.acme) as session:
        create_device(session, "desk-2", name="Desk 2")
    running = RunningIngest(ingest_settings).start()
    garbage, good = b"[" + b"0," * 5000 + b"0]", telemetry(1.0, point="other")
    publish(TOPIC, garbage)
    for second in range(20):
        publish(TOPIC, telemetry(1.0, second=second))
    publish(TOPIC.replace("desk-1", "desk-2"), good)
    eventually(lambda: [point for point, _, _ in readings(devices, devices.acme)] == ["other"])
    running.stop()
    assert read == [garbage, good]
    assert {letter.reason for letter in dead_letters(devices, devices.acme)} == {"bad_shape", "over_quota"}


def test_a_tenant_may_have_only_so_many_points(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    limit(devices, points=2)
    running = RunningIngest(ingest_settings).start()
    publish(TOPIC, json.dumps({"ts": NOW.isoformat(), "values": {"a": 1, "b": 2, "c": 3}}).encode())
    assert [row[0] for row in eventually(lambda: readings(devices, devices.acme))] == ["a", "b"]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.TOO_MANY_POINTS
    running.stop()


def test_a_reading_beyond_the_retention_is_a_dead_letter_and_a_younger_one_is_stored(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    limit(devices, retention_days=30)
    running = RunningIngest(ingest_settings).start()
    old, young = NOW - timedelta(days=31), NOW - timedelta(days=29)
    publish(TOPIC, json.dumps([{"ts": at.isoformat(), "values": {"a": 1}} for at in (old, young)]).encode())
    assert eventually(lambda: readings(devices, devices.acme)) == [("a", young, 1.0)]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.BEYOND_RETENTION
    assert f"is before {NOW - timedelta(days=30):%Y-%m-%d}" in letter.detail
    running.stop()


def test_a_reading_from_before_what_was_dropped_is_a_dead_letter_also_when_more_is_kept_by_now(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    limit(devices, retention_days=300)
    dropped_until = NOW - timedelta(days=60)
    with devices.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO storage_status (tenant_id, engine, complete_until, raw_from, lag_seconds,"
                " dirty_ranges, dirty_seconds, checked_at)"
                " VALUES (:tenant, 'postgresql', now(), :raw_from, 0, 0, 0, now())"
            ),
            {"tenant": devices.acme.id, "raw_from": dropped_until},
        )
    running = RunningIngest(ingest_settings).start()
    old, young = dropped_until - timedelta(seconds=1), dropped_until
    publish(TOPIC, json.dumps([{"ts": at.isoformat(), "values": {"a": 1}} for at in (old, young)]).encode())
    assert eventually(lambda: readings(devices, devices.acme)) == [("a", young, 1.0)]
    (letter,) = dead_letters(devices, devices.acme)
    assert letter.reason == Reason.BEYOND_RETENTION
    assert f"is before {dropped_until:%Y-%m-%d}" in letter.detail
    running.stop()


def test_mqtt_3_keeps_to_the_window_too(
    devices: Deployment, ingest_settings: IngestSettings, publish: Publish
):
    update = {"mqtt_version": "3.1.1", "ingest_receive_maximum": 20, "ingest_batch_messages": 7}
    running = RunningIngest(ingest_settings.model_copy(update=update)).start()
    for second in range(200):
        publish(TOPIC, telemetry(float(second), second=second))
    eventually(lambda: len(readings(devices, devices.acme)) == 200)
    eventually(lambda: running.service._source.in_flight == 0)
    running.stop()
