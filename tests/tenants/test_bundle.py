"""A tenant that goes out as a bundle and comes back is the same tenant, row for row."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from benchmarks.bundle import checksum, fill, measure
from insula_tenants.administration import Administration
from insula_tenants.audit import SYSTEM, list_entries
from insula_tenants.broker.passwords import PasswordHash, verify_password
from insula_tenants.building_model.models import Equipment, Feed, ModelPoint, Zone, ZoneSpace
from insula_tenants.bundle import archive, export
from insula_tenants.bundle.export import export_tenant
from insula_tenants.bundle.manifest import (
    MEMBERS,
    OLDEST,
    REBUILT,
    TABLES,
    TABLES_OF_OLDEST,
    read_manifest,
)
from insula_tenants.bundle.restore import import_bundle
from insula_tenants.commands import NewCommand, add_command
from insula_tenants.commands.arrivals import read_result, store_result
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices import NewPoint, TypeView
from insula_tenants.devices.models import Point
from insula_tenants.devices.types import create_type
from insula_tenants.energy.models import EmissionFactor, Meter, Tariff
from insula_tenants.errors import Conflict, InvalidInput
from insula_tenants.migrate import migrate
from insula_tenants.presence.arrivals import NewStatus, store_statuses
from insula_tenants.registry import create_tenant, resolve_tenant
from insula_tenants.rollups import refresh_tenant
from insula_tenants.spaces import Space
from insula_tenants.telemetry.write import NewDeadLetter, TelemetryWriter, TenantBatch
from insula_tenants.twins import change_desired, unpublished
from tests.conftest import Deployment
from tests.servers.postgres import PostgresServer

SOURCE = "bundle-origin"


@pytest.fixture(scope="module")
def admins(deployment: Deployment) -> Iterator[Administration]:
    """The administrator's connections."""
    administration = Administration({"main": deployment.admin_url})
    yield administration
    administration.close()


@pytest.fixture(scope="module")
def source(deployment: Deployment, admins: Administration) -> TenantContext:
    """A tenant with something in every table."""
    create_tenant(admins, SOURCE, "Where it is from")
    context = context_of(deployment.databases, SOURCE)
    fill(deployment.databases, context, 5_000)
    add_oddities(deployment, context)
    return context


@pytest.fixture
def bundle(deployment: Deployment, source: TenantContext, tmp_path: Path) -> Path:
    """The tenant's bundle."""
    return export_tenant(deployment.databases, source, tmp_path / "origin.zip").path


def add_control(session: Session) -> None:
    """A twin, a finished command, a device that came and went, and a finding that is open."""
    change_desired(session, "device-1", {"name": 'é\u2028"', "nested": {"a": [1, 1.5, None, True]}})
    view = add_command(session, "device-1", NewCommand("blink", {"times": 3}), actor=SYSTEM)
    result = read_result(str(view.id), {"status": "succeeded", "result": None})
    device_id = session.execute(text("SELECT id FROM devices WHERE slug = 'device-1'")).scalar_one()
    store_result(session, device_id, result, view.created_at)
    for connected in (True, False):
        store_statuses(session, [NewStatus(device_id, connected, datetime.now(UTC))])
    session.execute(
        text(
            "INSERT INTO findings (point_id, kind, severity, basis, opened_at, seen_at, value, expected_low)"
            " SELECT min(id), 'unusual', 'info', 'forecast', '2026-01-01T00:00:00.000001Z', now(), 0.3, 0.1"
            " FROM points"
        )
    )


def add_model(session: Session) -> None:
    """What the building has besides its rooms, one part before the whole that it belongs to."""
    (space,) = session.scalars(select(Space).order_by(Space.id).limit(1))
    space.iri, space.brick_class, space.area = "https://example.com/é#room", "Conference_Room", 30.5
    zone, fan, ahu = Zone(name="South"), Equipment(name="Fan"), Equipment(name="AHU", brick_class="AHU")
    session.add_all([zone, fan])
    session.flush()
    session.add(ahu)
    session.flush()
    fan.part_of_id, ahu.space_id = ahu.id, space.id
    session.add(ZoneSpace(zone_id=zone.id, space_id=space.id))
    session.add_all([Feed(equipment_id=ahu.id, fed_zone_id=zone.id), ModelPoint(name="Air", point_id=1)])
    add_energy(session, ahu.id)


def add_energy(session: Session, equipment: int) -> None:
    """A submeter before the meter that takes it in, and what both cost and emit."""
    points = list(session.scalars(select(Point.id).order_by(Point.id).limit(2)))
    below, above = (
        Meter(name=name, carrier="gas", point_id=point, equipment_id=equipment, calorific_value=11.2)
        for name, point in zip(("Burner", "Boilers"), points, strict=True)
    )
    session.add(below)
    session.flush()
    session.add(above)
    session.flush()
    below.submeter_of_id = above.id
    since = {"carrier": "gas", "valid_from": date(2026, 1, 1)}
    night = {"name": "Night", "weekdays": [1], "starts": "22:00", "ends": "06:00", "price": 0.05}
    session.add(Tariff(name="Gas", currency="EUR", price=0.07, periods=[night], **since))
    session.add(EmissionFactor(factor=0.2, source="Supplier", **since))


def add_oddities(deployment: Deployment, context: TenantContext) -> None:
    """Values that a careless format loses: odd floats, microseconds, bytes, quotes, ids with gaps."""
    microsecond = 1_767_225_600_000_001
    readings = {
        (1, microsecond): float("nan"),
        (2, microsecond): float("-inf"),
        (3, microsecond): 0.1 + 0.2,
        (4, microsecond): 5e-324,
        (5, 1_772_323_199_999_999): -1e300,  # the last microsecond of February 2026
        (5, 1_772_323_200_000_000): 1.0,  # the first of March
    }
    payload = bytes(range(256)) + 'é\u2028"\\\n'.encode()
    letter = NewDeadLetter(
        received_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        topic='tenants/x/devices/é"\\/telemetry',
        device="device-1",
        reason="bad-json",
        detail="line 1\nline 2\t\u2028{}",
        payload=payload,
    )
    with psycopg.connect(deployment.service_url, autocommit=True, prepare_threshold=None) as connection:
        TelemetryWriter(connection).write([TenantBatch(context, readings, [letter])])
    with deployment.databases.tenant(context) as session:
        session.execute(text("INSERT INTO sites (name) VALUES ('to be deleted'), ('L''Île \"β\" \\N')"))
        session.execute(text("DELETE FROM sites WHERE name = 'to be deleted'"))
        session.execute(text("UPDATE devices SET space_id = NULL WHERE slug = 'device-3'"))
        points = (NewPoint("power", unit="W", minimum=-1.5), NewPoint("door", states=("closed", "open")))
        create_type(session, TypeView("desk-lamp", "Desk lamp «1»", "Ö", expected_interval=60, points=points))
        session.execute(
            text("""UPDATE devices SET type = 'desk-lamp', labels = '{"a": "é"}' WHERE slug = 'device-2'""")
        )
        # A gateway that comes after its child.
        session.execute(
            text("UPDATE devices SET gateway_id = (SELECT max(id) FROM devices) WHERE slug = 'device-1'")
        )
        session.execute(
            text(
                "INSERT INTO sparkplug_metrics (device_id, name, alias, datatype, since)"
                " SELECT id, 'temperature', 18446744073709551615, 10, '2026-01-01T00:00:00.000001Z'"
                " FROM devices"
            )
        )
        add_control(session)
        add_model(session)
    with deployment.databases.core() as core:
        people = (("olga@example.com", "owner", None), ("vik@example.com", "viewer", '{"sites": [1]}'))
        for email, role, places in people:
            account = uuid4()
            core.execute(
                text("INSERT INTO accounts (id, email, name) VALUES (:id, :email, 'N')"),
                {"id": account, "email": email},
            )
            core.execute(
                text(
                    "INSERT INTO memberships (account_id, tenant_id, role, places, created_at) VALUES"
                    " (:account, :tenant, :role, CAST(:places AS jsonb), '2025-05-05T05:05:05.123456Z')"
                ),
                {"account": account, "tenant": context.id, "role": role, "places": places},
            )


def context_of(databases: Databases, slug: str) -> TenantContext:
    with databases.core() as core:
        return resolve_tenant(core, slug)


def content(databases: Databases, context: TenantContext) -> dict[str, object]:
    """Everything that is the tenant's, in a form that compares."""
    found: dict[str, object] = {"readings": checksum(databases, context)}
    with databases.tenant(context) as session:
        for table in (*TABLES, "latest"):
            rows = session.scalars(text(f"SELECT one::text FROM {table} AS one ORDER BY one::text"))
            found[table] = rows.all()
    with databases.core() as core:
        people = text(
            "SELECT email, role, places, memberships.created_at"
            " FROM memberships JOIN accounts ON id = account_id WHERE tenant_id = :id ORDER BY email"
        )
        found["people"] = [tuple(row) for row in core.execute(people, {"id": context.id})]
    return found


def test_what_comes_back_is_what_went_out(
    deployment: Deployment, admins: Administration, source: TenantContext, bundle: Path
):
    neighbour = content(deployment.databases, deployment.acme)
    imported = import_bundle(admins, bundle, "bundle-return", name="Back again")
    returned = context_of(deployment.databases, "bundle-return")
    before = content(deployment.databases, source)
    assert all(before.values())
    assert content(deployment.databases, returned) == before
    assert imported.members == ("olga@example.com", "vik@example.com")
    assert imported.readings == 5_006
    assert content(deployment.databases, deployment.acme) == neighbour
    with deployment.databases.core() as core:
        name = core.scalar(text("SELECT name FROM tenants WHERE slug = 'bundle-return'"))
    assert name == "Back again"


def test_a_bundle_of_the_copy_is_the_same_bundle(
    deployment: Deployment, admins: Administration, source: TenantContext, bundle: Path, tmp_path: Path
):
    """Months, order and compression are the content's alone: each member has the same hash again."""
    import_bundle(admins, bundle, "bundle-twice")
    again = export_tenant(
        deployment.databases, context_of(deployment.databases, "bundle-twice"), tmp_path / "again.zip"
    )
    with zipfile.ZipFile(bundle) as first:
        manifest = read_manifest(first.read("manifest.json"))
    assert again.manifest.members == manifest.members
    assert again.manifest.readings == manifest.readings
    assert {"readings/2026-01.parquet", "readings/2026-02.parquet", "readings/2026-03.parquet"} <= {
        entry.name for entry in manifest.months
    }


def test_the_restored_tenant_lives_on(
    deployment: Deployment, admins: Administration, bundle: Path, source: TenantContext
):
    """New rows get new ids, devices keep their passwords, readings keep coming."""
    import_bundle(admins, bundle, "bundle-alive")
    context = context_of(deployment.databases, "bundle-alive")
    with deployment.databases.tenant(context) as session:
        for table in TABLES:
            highest = session.scalar(text(f"SELECT max(id) FROM {table}"))
            following = session.scalar(text(f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"))
            assert following == highest + 1, table
        assert unpublished(session) == ["device-1"], "the broker here has no desired state of it yet"
        stored = session.execute(
            text("SELECT password_hash, salt, iterations FROM device_credentials WHERE device_id = 2")
        ).one()
    assert verify_password("password of device-1", PasswordHash(*stored))
    with psycopg.connect(deployment.service_url, autocommit=True, prepare_threshold=None) as connection:
        TelemetryWriter(connection).write([TenantBatch(context, {(1, 1_790_000_000_000_000): 1.0})])
    rows, _ = checksum(deployment.databases, context)
    assert rows == 5_007
    assert checksum(deployment.databases, source)[0] == 5_006


def made_older(bundle: Path, older: Path) -> Path:
    """The same bundle as the first release that knows bundles wrote it."""
    new_columns = {
        "sites": {"iri", "latitude", "longitude"},
        "buildings": {"iri", "brick_class", "area"},
        "storeys": {"iri", "brick_class"},
        "spaces": {"iri", "brick_class", "area", "capacity", "comfort_category"},
    }
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(older, "w") as target:
        manifest = json.loads(source.read("manifest.json")) | {"schema_version": OLDEST}
        kept = []
        for entry in manifest["members"]:
            name, data = entry["name"], source.read(entry["name"])
            table = name.removesuffix(".jsonl")
            if table in set(TABLES) - set(TABLES_OF_OLDEST):
                continue
            if table in new_columns:
                rows = [json.loads(line) for line in data.splitlines()]
                old = [{key: row[key] for key in row.keys() - new_columns[table]} for row in rows]
                data = b"".join(json.dumps(row).encode() + b"\n" for row in old)
            target.writestr(name, data)
            digest = hashlib.sha256(data).hexdigest()
            kept.append(entry | {"bytes": len(data), "sha256": digest})
        target.writestr("manifest.json", json.dumps(manifest | {"members": kept}))
    return older


def test_a_bundle_from_before_the_building_model_comes_in(
    deployment: Deployment, admins: Administration, source: TenantContext, bundle: Path, tmp_path: Path
):
    older = made_older(bundle, tmp_path / "older.zip")
    assert import_bundle(admins, older, "bundle-older").readings == 5_006
    returned = content(deployment.databases, context_of(deployment.databases, "bundle-older"))
    expected = content(deployment.databases, source)
    for table in set(TABLES_OF_OLDEST) - {"sites", "buildings", "storeys", "spaces"}:
        assert returned[table] == expected[table], table
    with deployment.databases.tenant(context_of(deployment.databases, "bundle-older")) as session:
        (room,) = session.scalars(select(Space).order_by(Space.id).limit(1))
        assert (room.brick_class, room.area, room.iri) == ("Room", None, None)
        assert session.scalars(select(Zone)).all() == []
        session.add(Zone(name="New"))


def test_rollups_are_made_anew_after_an_import(deployment: Deployment, admins: Administration, bundle: Path):
    import_bundle(admins, bundle, "bundle-rollups")
    context = context_of(deployment.databases, "bundle-rollups")
    with deployment.databases.tenant(context) as session:
        assert session.scalar(text("SELECT complete_until FROM rollup_state")) == datetime(
            2000, 1, 1, tzinfo=UTC
        ), "until then answers come from raw readings"
    while refresh_tenant(admins, context):
        pass
    with deployment.databases.tenant(context) as session:
        rolled_up = session.execute(
            text("SELECT sum(count), sum(sum), min(first_time) FROM readings_15m")
        ).one()
        raw = session.execute(
            text(
                "SELECT count(*), sum(value), min(time) FROM readings"
                " WHERE time < (SELECT complete_until FROM rollup_state)"
            )
        ).one()
    assert raw[0] > 5_000
    assert (rolled_up[0], rolled_up[2]) == (raw[0], raw[2])
    assert rolled_up[1] == pytest.approx(raw[1], nan_ok=True)


def test_every_table_of_a_tenant_is_in_the_bundle_or_follows_from_it(
    deployment: Deployment, source: TenantContext
):
    with deployment.databases.tenant(source) as session:
        tables = set(
            session.scalars(
                text(
                    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
                    " AND relkind IN ('r', 'p', 'v') AND NOT relispartition"
                )
            )
        )
    assert tables == {*TABLES, *REBUILT}


def test_a_bundle_is_readable_without_insula_and_holds_no_secret(bundle: Path):
    with zipfile.ZipFile(bundle) as archived:
        assert archived.testzip() is None
        assert {info.compress_type for info in archived.infolist()} == {zipfile.ZIP_STORED}
        table = pq.read_table(archived.open("readings/2026-01.parquet"))
        assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
        assert [field.name for field in table.schema] == ["point_id", "time", "value"]
        people = [json.loads(line) for line in archived.open(MEMBERS)]
        assert {key for person in people for key in person} == {
            "email",
            "name",
            "role",
            "places",
            "created_at",
        }
        everything = b"".join(archived.read(info) for info in archived.infolist())
    assert b"password of device" not in everything
    assert bundle.stat().st_mode & 0o077 == 0, "for its owner alone: it holds hashes"


def test_an_empty_tenant_goes_out_and_comes_back(
    deployment: Deployment, admins: Administration, tmp_path: Path
):
    exported = export_tenant(deployment.databases, deployment.globex, tmp_path / "globex.zip")
    assert exported.manifest.readings.rows == 0
    assert import_bundle(admins, exported.path, "bundle-empty").readings == 0
    returned = context_of(deployment.databases, "bundle-empty")
    assert content(deployment.databases, returned) == content(deployment.databases, deployment.globex)


def test_an_export_sees_one_moment(
    deployment: Deployment, source: TenantContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is written while it runs is in none of its members, not in some of them."""

    def meanwhile(step: str, _done: int, _total: int) -> None:
        if step == "devices":
            with deployment.databases.tenant(source) as session:
                session.execute(text("INSERT INTO devices (slug, name) VALUES ('late-device', 'Late')"))
                session.execute(
                    text(
                        "INSERT INTO points (device_id, name)"
                        " SELECT id, 'p' FROM devices WHERE slug = 'late-device'"
                    )
                )

    exported = export_tenant(deployment.databases, source, tmp_path / "moment.zip", progress=meanwhile)
    with archive.open_bundle(exported.path) as bundle:
        assert sum(1 for _ in bundle.lines("devices.jsonl")) == 10
        assert sum(1 for _ in bundle.lines("points.jsonl")) == 100
    with deployment.databases.tenant(source) as session:
        session.execute(text("DELETE FROM devices WHERE slug = 'late-device'"))


def test_an_export_reads_with_the_tenants_rights_and_cannot_write(
    deployment: Deployment, source: TenantContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[str, str, str]] = []
    months_of = export.months_of

    def spy(connection):
        query = (
            "SELECT current_user, current_setting('transaction_isolation'),"
            " current_setting('transaction_read_only')"
        )
        seen.append(connection.execute(query).fetchone())
        return months_of(connection)

    monkeypatch.setattr(export, "months_of", spy)
    export_tenant(deployment.databases, source, tmp_path / "rights.zip")
    assert seen == [(source.schema, "repeatable read", "on")]


def test_a_tenant_that_is_taken_is_never_overwritten(
    deployment: Deployment, admins: Administration, source: TenantContext, bundle: Path
):
    before = content(deployment.databases, source)
    for slug in (None, SOURCE, "acme"):
        with pytest.raises(Conflict, match="already"):
            import_bundle(admins, bundle, slug)
    assert content(deployment.databases, source) == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"slug": "Not A Slug"}, "slug"),
        ({"database": "nowhere"}, "database"),
        ({"plan": "gold"}, "plan"),
        ({"name": "  "}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
    ],
)
def test_bad_arguments_are_named(
    deployment: Deployment, admins: Administration, bundle: Path, options: dict[str, str], field: str
):
    with pytest.raises(InvalidInput) as refused:
        import_bundle(admins, bundle, **({"slug": "bundle-bad"} | options))
    assert refused.value.field == field
    assert not registered(deployment, "bundle-bad")


def registered(deployment: Deployment, slug: str) -> bool:
    """Whether the registry holds anything of this name."""
    with deployment.databases.core() as core:
        return core.scalar(text("SELECT 1 FROM tenants WHERE slug = :slug"), {"slug": slug}) is not None


def test_two_imports_of_a_slug_do_not_meet(deployment: Deployment, admins: Administration, bundle: Path):
    def second(step: str, _done: int, _total: int) -> None:
        if step == "publishing":
            with pytest.raises(Conflict, match="under way"):
                import_bundle(admins, bundle, "bundle-race")

    assert import_bundle(admins, bundle, "bundle-race", progress=second).readings == 5_006


def test_people_without_an_account_here_are_named(
    deployment: Deployment, admins: Administration, bundle: Path
):
    with deployment.databases.core() as core:
        core.execute(text("UPDATE accounts SET email = 'gone@example.com' WHERE email = 'vik@example.com'"))
    try:
        imported = import_bundle(admins, bundle, "bundle-people")
    finally:
        with deployment.databases.core() as core:
            core.execute(
                text("UPDATE accounts SET email = 'vik@example.com' WHERE email = 'gone@example.com'")
            )
    assert imported.members == ("olga@example.com",)
    assert imported.without_account == ("vik@example.com",)
    with deployment.databases.core() as core:
        (entry,) = list_entries(core, tenant=imported.tenant_id)
        assert (entry.action, entry.target, entry.actor_kind) == (
            "tenant.imported",
            "bundle-people",
            "system",
        )
        assert entry.detail["from"] == SOURCE
        assert entry.detail["readings"] == imported.readings


def test_bundles_cross_from_one_engine_to_another(
    deployment: Deployment,
    postgres_server: PostgresServer,
    source: TenantContext,
    bundle: Path,
    tmp_path: Path,
):
    """There and back again. INSULA_TEST_SECOND_DATABASE_URL names the other server."""
    other_server = PostgresServer(
        os.environ.get("INSULA_TEST_SECOND_DATABASE_URL") or postgres_server.admin_url
    )
    admin_url, service_url = other_server.create_database()
    report = migrate({"main": admin_url}, {"main": service_url})
    other_admins, other = Administration({"main": admin_url}), Databases({"main": service_url})
    admins = Administration({"main": deployment.admin_url})
    try:
        assert import_bundle(other_admins, bundle).slug == SOURCE, "under its own name, where it is free"
        abroad = context_of(other, SOURCE)
        expected = content(deployment.databases, source)
        assert content(other, abroad) == expected | {"people": []}
        back = export_tenant(other, abroad, tmp_path / "back.zip")
        assert back.manifest.engine == report.engine
        import_bundle(admins, back.path, "bundle-home")
        home = context_of(deployment.databases, "bundle-home")
        assert content(deployment.databases, home) == expected | {"people": []}
    finally:
        for closing in (other_admins, other, admins):
            closing.close()
        other_server.drop_database(admin_url)


@pytest.mark.long
def test_memory_does_not_grow_with_the_readings(postgres_server: PostgresServer, tmp_path: Path):
    """Four times the readings, about the same memory. The benchmark shows it for millions."""
    peaks = {}
    for readings in (200_000, 800_000):
        admin_url, service_url = postgres_server.create_database()
        try:
            result = measure(admin_url, service_url, readings, tmp_path / f"{readings}.zip")
        finally:
            postgres_server.drop_database(admin_url)
        assert result["equal"], result
        peaks[readings] = max(result[name]["peak_mb"] for name in ("export", "import"))
    assert peaks[800_000] < peaks[200_000] + 60, peaks
