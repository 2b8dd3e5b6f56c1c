"""SQL under a tenant's role: what PostgreSQL refuses even when everything above it has failed.

The one thing that roles do not stop is `SET ROLE` itself: see the last section, and `test_static_sql`.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import psycopg
import pytest
from psycopg import sql

from tests.attacks.conftest import House
from tests.attacks.intruder import DENIED, Intruder
from tests.conftest import Deployment

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

RELATIONS = """
SELECT n.nspname, c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
"""

HIDDEN_TABLES = """
WITH own AS (
    SELECT h.id, h.compressed_hypertable_id FROM _timescaledb_catalog.hypertable h
    WHERE h.schema_name = CAST(%(schema)s AS text) OR h.id IN (
        SELECT mat_hypertable_id FROM _timescaledb_catalog.continuous_agg
        WHERE user_view_schema = CAST(%(schema)s AS text))
)
SELECT format('%%I.%%I', h.schema_name, h.table_name)::regclass::oid FROM _timescaledb_catalog.hypertable h
WHERE h.id IN (SELECT id FROM own UNION ALL SELECT compressed_hypertable_id FROM own)
"""
"""Where TimescaleDB keeps a tenant's rollups and compressed readings: beside everybody else's."""


def own_relations(administrator: psycopg.Connection, schema: str) -> list[tuple[str, str]]:
    """Tables, partitions, chunks and materializations of a tenant, as `(schema, name)`."""
    parents = "SELECT oid FROM pg_class WHERE relnamespace = CAST(%(schema)s AS text)::regnamespace"
    if administrator.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
        parents += f" UNION ALL ({HIDDEN_TABLES})"
    found = administrator.execute(
        f"WITH parents (oid) AS ({parents})"  # type: ignore[arg-type]
        " SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.oid IN (SELECT oid FROM parents"
        "   UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM parents))",
        {"schema": schema},
    ).fetchall()
    assert len(found) > 12, found
    return found


def test_every_table_partition_and_chunk_is_its_tenants_alone(
    intruder: Intruder, administrator: psycopg.Connection, acme: House, globex: House
):
    """The statements of one's own tables and of the neighbour's are the same, the answers are not."""
    for schema, name in own_relations(administrator, acme.context.schema):
        assert intruder.error(_on("SELECT * FROM {}", schema, name)) is None
    tried = (
        "SELECT * FROM {}",
        "SELECT count(*) FROM {}",
        "INSERT INTO {} DEFAULT VALUES",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "LOCK TABLE {} IN ACCESS SHARE MODE",
        "COPY {} TO STDOUT",
        "ALTER TABLE {} ADD COLUMN mine int",
        "DROP TABLE {}",
        "CREATE INDEX ON {} ((1))",
        "COMMENT ON TABLE {} IS 'mine'",
        "ALTER TABLE {} OWNER TO tenant_acme",
    )
    for schema, name in own_relations(administrator, globex.context.schema):
        for statement in tried:
            error = intruder.error(_on(statement, schema, name))
            # Of its own tables TimescaleDB refuses some statements before it asks who speaks.
            own = schema == "_timescaledb_internal"
            assert error == DENIED.__name__ or (own and error == "FeatureNotSupported"), (
                statement,
                schema,
                name,
            )


def test_no_right_reaches_beyond_ones_own_schema(administrator: psycopg.Connection, acme: House):
    """As the catalog has it, whatever statement would use it: also for tables that no test thought of."""
    own = set(own_relations(administrator, acme.context.schema))
    for schema, name, oid in administrator.execute(RELATIONS).fetchall():
        rights = {
            right
            for right in PRIVILEGES
            if administrator.execute(
                "SELECT has_schema_privilege(%(role)s, %(schema)s, 'USAGE')"
                " AND has_table_privilege(%(role)s, %(oid)s, %(right)s)",
                {"role": acme.context.schema, "schema": schema, "oid": oid, "right": right},
            ).fetchone()
            == (True,)
        }
        if (schema, name) in own:
            assert rights <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
        elif "timescaledb" in schema:
            assert rights <= {"SELECT"}, (schema, name)
        else:
            assert not rights, (schema, name)


def test_nothing_readable_holds_a_neighbours_data(
    intruder: Intruder, deployment: Deployment, administrator: psycopg.Connection, acme: House, globex: House
):
    """Every catalog, view and table that a tenant may read, row by row: names of tables, and no data.

    A neighbour's query runs meanwhile, and the planner's statistics are fresh.
    """
    readable = administrator.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege(%(role)s, c.oid, 'SELECT')"
        " AND has_schema_privilege(%(role)s, n.oid, 'USAGE') AND n.nspname <> %(role)s",
        {"role": acme.context.schema},
    ).fetchall()
    assert ("pg_catalog", "pg_stat_activity") in readable
    assert ("pg_catalog", "pg_stats") in readable
    with psycopg.connect(deployment.service_url) as neighbour:
        neighbour.execute(f"SELECT 'Meter {globex.secret}'")  # type: ignore[arg-type]
        for schema, name in readable:
            try:
                rows = intruder.run(_on("SELECT relation::text FROM {} AS relation", schema, name))
            except (DENIED, psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.FeatureNotSupported):
                continue
            told = str(rows)
            assert globex.secret not in told, (schema, name)
            assert str(globex.value) not in told, (schema, name)
        statistics = administrator.execute("SELECT most_common_vals, histogram_bounds::text FROM pg_stats")
        known = str(statistics.fetchall())
        activity = str(administrator.execute("SELECT query FROM pg_stat_activity").fetchall())
    assert globex.secret in known, "the test must have something to find"
    assert str(globex.value) in known
    assert globex.secret in activity


@pytest.mark.parametrize(
    ("own", "neighbours"),
    [
        ("SELECT nextval('devices_id_seq')", "SELECT nextval('tenant_globex.devices_id_seq')"),
        ("SELECT pg_relation_size('readings')", "SELECT pg_relation_size('tenant_globex.readings')"),
        ("SELECT to_regclass('readings')", "SELECT to_regclass('tenant_globex.readings')"),
        (
            "SELECT count(*) FROM devices",
            "SELECT query_to_xml('SELECT * FROM tenant_globex.devices', true, true, '')",
        ),
        (
            "SELECT ensure_readings_range('2020-01-01', '2020-02-01')",
            "SELECT tenant_globex.ensure_readings_range('2020-01-01', '2020-02-01')",
        ),
        ("SELECT count(*) FROM schema_version", "SELECT count(*) FROM insula.tenants"),
        ("SELECT 1", "SELECT insula.procrastinate_defer_job_v1('q','t',1,'l','q','{}',now())"),
    ],
)
def test_functions_open_no_other_door(intruder: Intruder, own: str, neighbours: str):
    assert intruder.error(own) is None
    assert intruder.error(neighbours) == DENIED.__name__


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE insula_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION tenant_globex",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "CREATE ROLE mine",
        "CREATE SCHEMA mine",
        "ALTER ROLE tenant_acme LOGIN",
        "ALTER ROLE insula_service SUPERUSER",
        "GRANT tenant_globex TO tenant_acme",
        "GRANT tenant_acme TO tenant_globex",
        "GRANT insula_owner TO tenant_acme",
        "ALTER DEFAULT PRIVILEGES FOR ROLE insula_owner GRANT ALL ON TABLES TO PUBLIC",
        "REASSIGN OWNED BY tenant_globex TO tenant_acme",
        "DROP OWNED BY tenant_globex",
        "COPY devices TO PROGRAM 'id'",
        "COPY devices FROM PROGRAM 'id'",
        "COPY devices TO '/tmp/insula-stolen'",
        "COPY devices (name) FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/insula-stolen')",
        "LOAD 'dblink'",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION postgres_fdw",
        "CREATE PUBLICATION mine FOR ALL TABLES",
        "CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT pg_create_physical_replication_slot('mine')",
        "SELECT pg_reload_conf()",
        "SELECT rolpassword FROM pg_authid",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT * FROM pg_largeobject",
        "SELECT * FROM pg_statistic",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT pg_cancel_backend(pg_backend_pid())",
    ],
)
def test_a_tenant_role_reaches_neither_the_server_nor_other_roles(intruder: Intruder, statement: str):
    assert intruder.error("SELECT 1 FROM devices") is None
    assert intruder.error(statement) == DENIED.__name__


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE TABLE insula_functions.mine (x int)",
        "CREATE TEMP TABLE readings (x int)",
        "CREATE TABLE pg_temp.readings (x int)",
        "SELECT 1 AS x INTO TEMP readings",
        "CREATE TEMP VIEW devices AS SELECT 1",
        "CREATE TEMP SEQUENCE devices_id_seq",
        "CREATE FUNCTION pg_temp.now() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE FUNCTION now() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE TYPE mine AS (x int)",
        "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        "CREATE TRIGGER mine BEFORE INSERT ON devices"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE mine AS ON INSERT TO devices DO INSTEAD NOTHING",
        "CREATE POLICY mine ON devices USING (true)",
        "ALTER TABLE devices ENABLE ROW LEVEL SECURITY",
        "TRUNCATE latest",
        "UPDATE schema_version SET version_num = 'mine'",
        "SELECT setval('devices_id_seq', 1)",
    ],
)
def test_a_tenant_makes_no_object_anywhere(intruder: Intruder, statement: str):
    """So nothing can stand in the way of a migration, or shadow a table for the connection's next user."""
    assert intruder.error(statement) == DENIED.__name__


def test_what_a_tenant_grants_of_its_own_changes_nothing(
    intruder: Intruder, administrator: psycopg.Connection, acme: House, globex: House
):
    """PostgreSQL only warns of these, so what counts is what the neighbour may do afterwards."""
    with intruder.transaction() as connection:
        # TimescaleDB refuses it for the views behind the rollups.
        with suppress(DENIED), connection.transaction():
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA tenant_acme TO tenant_globex")
        connection.execute("GRANT ALL ON SCHEMA tenant_acme TO tenant_globex")
        connection.execute("GRANT ALL ON SCHEMA insula_functions TO tenant_acme")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC")
        rights = connection.execute(
            "SELECT has_schema_privilege('tenant_globex', 'tenant_acme', 'USAGE'),"
            " has_table_privilege('tenant_globex', 'devices', 'SELECT'),"
            " has_schema_privilege('tenant_acme', 'insula_functions', 'CREATE')"
        ).fetchone()
    assert rights == (False, False, False)


def test_schemas_are_created_in_by_their_owner_alone(administrator: psycopg.Connection, acme: House):
    """The catalog's own view of the same, for every schema there is, and for the services' login too."""
    may = administrator.execute(
        "SELECT r.rolname, n.nspname FROM pg_namespace n, pg_roles r"
        " WHERE r.rolname IN ('tenant_acme', 'insula', 'insula_service')"
        " AND has_schema_privilege(r.oid, n.oid, 'CREATE')"
    ).fetchall()
    assert may == []
    on_the_database = administrator.execute(
        "SELECT r.rolname, right_ FROM pg_roles r, unnest(ARRAY['CREATE', 'TEMPORARY']) AS right_"
        " WHERE r.rolname IN ('tenant_acme', 'insula', 'insula_service')"
        " AND has_database_privilege(r.oid, current_database(), right_)"
    ).fetchall()
    assert on_the_database == []


def test_who_runs_with_its_owners_rights_has_a_pinned_path_and_no_public_callers(
    administrator: psycopg.Connection,
):
    """Every SECURITY DEFINER function that is not an extension's."""
    found = administrator.execute(
        "SELECT p.oid::regprocedure::text, n.nspname, p.proconfig,"
        "   has_function_privilege('tenant_globex', p.oid, 'EXECUTE')"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    ).fetchall()
    for name, schema, settings, neighbour_may in found:
        assert f"search_path={schema}, pg_temp" in settings, name
        assert neighbour_may == (schema == "tenant_globex"), name
    rooms = [name for name, *_ in found if name.startswith("tenant_acme.ensure_readings_range(")]
    partitioned = not administrator.execute(
        "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    assert len(rooms) == partitioned


@pytest.mark.parametrize(
    "arguments",
    [
        "NULL, NULL",
        "'-infinity', 'infinity'",
        "'2024-01-01', 'infinity'",
        "'infinity', '2024-01-01'",
        "'2024-03-01', '2024-01-01'",
        "'1999-12-31', '2000-01-02'",
        "'2024-01-01', now() + interval '1000 years'",
        "'4713-01-01 BC', '2024-01-01'",
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        "SELECT 1",
        "SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL timezone = 'UTC+9'; SET LOCAL search_path = ''",
    ],
)
def test_room_for_readings_is_made_in_ones_own_schema_whatever_is_asked(
    intruder: Intruder, arguments: str, settings: str
):
    before = (
        "SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relnamespace = 'tenant_globex'::regnamespace"
    )
    count = "SELECT count(*) FROM pg_class WHERE relkind = 'r'"
    with intruder.transaction() as connection:
        neighbours, tables = (connection.execute(query).fetchone() for query in (before, count))
        try:
            with connection.transaction():
                for setting in settings.split(";"):
                    connection.execute(setting)  # type: ignore[call-overload]
                connection.execute(f"SELECT tenant_acme.ensure_readings_range({arguments})")  # type: ignore[call-overload]
        except psycopg.errors.RaiseException:
            pass
        assert connection.execute(before).fetchone() == neighbours
        assert connection.execute(count).fetchone() == tables


def test_room_is_made_right_under_hostile_settings(intruder: Intruder, administrator: psycopg.Connection):
    """A month has one name, whatever the session believes of dates and zones."""
    with intruder.transaction() as connection:
        connection.execute("SET LOCAL DateStyle = 'Postgres, DMY'")
        connection.execute("SET LOCAL timezone = 'Pacific/Kiritimati'")
        connection.execute("SET LOCAL IntervalStyle = 'sql_standard'")
        connection.execute("SELECT tenant_acme.ensure_readings_range('2013-02-01Z', '2013-02-02Z')")
        connection.execute("INSERT INTO readings VALUES ('2013-02-01T00:00:00Z', 1, 1)")
        connection.execute("INSERT INTO readings VALUES ('2013-02-28T23:59:59Z', 1, 1)")
        bounds = connection.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'readings_2013%' AND relkind = 'r'"
        ).fetchall()
    assert bounds in ([("readings_2013_02",)], [])


def test_large_objects_are_their_makers(intruder: Intruder, deployment: Deployment):
    """PostgreSQL gives every role large objects; the platform uses none, and a neighbour's stays closed."""
    with intruder.transaction() as connection:
        (made,) = connection.execute("SELECT lo_from_bytea(0, 'own')").fetchone() or (0,)
        assert connection.execute("SELECT lo_get(%s)", (made,)).fetchone() == (b"own",)
        connection.execute("SET LOCAL ROLE tenant_globex")
        for function in ("lo_get(%s)", "lo_put(%s, 0, 'x')", "lo_unlink(%s)"):
            with pytest.raises(DENIED), connection.transaction():
                connection.execute(f"SELECT {function}", (made,))  # type: ignore[call-overload]


def test_a_neighbours_queries_are_hidden_and_its_backends_out_of_reach(
    intruder: Intruder, deployment: Deployment, globex: House, administrator: psycopg.Connection
):
    """All services share a login, but a tenant's role is no member of it: it sees not even its own text."""
    secret = "SELECT 'a neighbour''s query'"
    with psycopg.connect(deployment.service_url) as neighbour:
        Intruder(neighbour, globex.context.schema).run(secret)
        neighbour.execute(secret)  # type: ignore[call-overload]
        pid = neighbour.info.backend_pid
        activity = f"SELECT query FROM pg_stat_activity WHERE pid = {pid}"
        assert administrator.execute(activity).fetchall() == [(secret,)]  # type: ignore[call-overload]
        assert intruder.run(activity) == [("<insufficient privilege>",)]
        for function in ("pg_cancel_backend", "pg_terminate_backend"):
            assert intruder.error(f"SELECT {function}({pid})") == DENIED.__name__
        # As the login it does see it: values are bound, so that no query's text holds any.
        assert intruder.run("RESET ROLE", activity) == [(secret,)]


def test_back_at_the_login_nothing_can_be_read(intruder: Intruder, administrator: psycopg.Connection):
    """`RESET ROLE` and its kin lead to a login without rights; another `SET ROLE` would have some."""
    for back in ("RESET ROLE", "SET ROLE NONE", "RESET ALL", "DISCARD PLANS", "SET LOCAL ROLE NONE"):
        seen = intruder.run(back, "SELECT current_user")
        for table in ("tenant_acme.devices", "tenant_globex.devices", "insula.tenants", "insula.accounts"):
            error = intruder.error(back, f"SELECT * FROM {table}")
            if seen == [("tenant_acme",)] and table == "tenant_acme.devices":
                assert error is None
            else:
                assert error == DENIED.__name__, (back, table)
    # Documented, and why no SQL may be built from text: the login can become any tenant.
    assert intruder.run("SET LOCAL ROLE tenant_globex", "SELECT count(*) > 0 FROM devices") == [(True,)]


def test_the_login_and_its_roles_have_no_powers(administrator: psycopg.Connection):
    rows = administrator.execute(
        "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname ~ '^(tenant_|insula)'"
        " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        "   OR (rolcanlogin AND rolinherit) OR (rolcanlogin AND rolname !~ '^insula_service'))"
    ).fetchall()
    assert rows == []
    owns = administrator.execute(
        "SELECT relname FROM pg_class WHERE relowner IN (SELECT oid FROM pg_roles WHERE rolname ~ '^tenant_'"
        " OR rolname IN ('insula', 'insula_service'))"
    ).fetchall()
    assert owns == []
    admin_options = administrator.execute(
        "SELECT 1 FROM pg_auth_members WHERE admin_option AND member IN"
        " (SELECT oid FROM pg_roles WHERE rolname ~ '^(tenant_|insula$|insula_service)')"
    ).fetchall()
    assert admin_options == []


def test_what_tenants_can_be_told_by_the_catalogs_is_names_and_sizes(intruder: Intruder):
    """Known and stated: whoever runs SQL sees which schemas there are. PostgreSQL cannot hide them."""
    schemas = [name for (name,) in intruder.run("SELECT nspname FROM pg_namespace ORDER BY 1")]
    assert {"tenant_acme", "tenant_globex"} <= set(schemas)
    assert all(one < other for one, other in pairwise(schemas))


def _on(statement: str, schema: str, name: str) -> str:
    return sql.SQL(statement).format(sql.Identifier(schema, name)).as_string()  # type: ignore[arg-type]
