"""A creation that is cut off anywhere ends as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from insula_tenants.administration import Administration
from insula_tenants.audit import list_entries
from insula_tenants.errors import Conflict, InvalidInput, NotFound
from insula_tenants.invitations import token_hash
from insula_tenants.names import schema_of
from insula_tenants.registry import create_tenant, list_tenants, resolve_tenant, resume_creations
from insula_tenants.registry.creation import CreatedTenant
from tests.conftest import Deployment

STEPS = ("register", "build_schema", "publish")
OWNER = "Ada@Example.com"
NOW = timedelta(0)

_IN_THE_SCHEMA = """
SELECT 'relation', concat_ws(' ', c.relname, c.relkind, pg_get_userbyid(c.relowner)),
       replace(c.relacl::text, :s, '…')
  FROM pg_class c WHERE c.relnamespace = to_regnamespace(:s)
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = to_regnamespace(:s) AND a.attnum > 0
UNION ALL
SELECT 'constraint', conname, replace(pg_get_constraintdef(oid), :s, '…')
  FROM pg_constraint WHERE connamespace = to_regnamespace(:s)
UNION ALL
SELECT 'function', proname, replace(proacl::text, :s, '…')
  FROM pg_proc WHERE pronamespace = to_regnamespace(:s)
UNION ALL
SELECT 'default', defaclobjtype::text, replace(defaclacl::text, :s, '…')
  FROM pg_default_acl WHERE defaclnamespace = to_regnamespace(:s)
UNION ALL
SELECT 'schema', '', replace(nspacl::text, :s, '…') FROM pg_namespace WHERE nspname = :s
UNION ALL
SELECT 'role', concat_ws(' ', rolcanlogin, rolsuper),
       (SELECT count(*)::text FROM pg_auth_members m WHERE m.roleid = r.oid)
  FROM pg_roles r WHERE rolname = :s
UNION ALL
SELECT 'version', version_num, NULL FROM {schema}.schema_version
"""

_IN_THE_REGISTRY = """
SELECT t.name, t.database, t.schema_version, t.status, t.plan,
       (SELECT array_agg(email || role) FROM invitations WHERE tenant_id = t.id) AS invited,
       (SELECT array_agg(concat_ws(' ', action, actor_kind, actor) ORDER BY id)
          FROM audit_log WHERE tenant_id = t.id) AS audited,
       (SELECT array_agg(kind || state || step) FROM tenant_jobs WHERE tenant_id = t.id) AS jobs
  FROM tenants t WHERE slug = :slug
"""


@pytest.fixture
def admins(deployment: Deployment) -> Iterator[Administration]:
    with closing(Administration({"main": deployment.admin_url})) as opened:
        yield opened


def make(admins: Administration, slug: str, key: str | None = None) -> CreatedTenant:
    return create_tenant(admins, slug, "Initech", owner_email=OWNER, key=key)


def picture(deployment: Deployment, slug: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """All there is of a tenant, its name and ids aside."""
    schema = schema_of(slug)
    with (
        closing(Administration({"main": deployment.admin_url})) as opened,
        opened.registry.begin() as connection,
    ):
        rows = connection.execute(text(_IN_THE_SCHEMA.replace("{schema}", schema)), {"s": schema})
        catalog = sorted(tuple(row) for row in rows)
    with deployment.databases.core() as core:
        registry = [tuple(row) for row in core.execute(text(_IN_THE_REGISTRY), {"slug": slug})]
    return catalog, registry


def nobody_finds(deployment: Deployment, slug: str) -> bool:
    with deployment.databases.core() as core:
        with pytest.raises(NotFound):
            resolve_tenant(core, slug)
        return slug not in {tenant.slug for tenant in list_tenants(core)}


def test_a_tenant_is_made_whole_with_its_owner_invited_and_takes_less_than_a_second(
    deployment: Deployment, admins: Administration
):
    start = time.monotonic()
    made = make(admins, "life-whole")
    assert time.monotonic() - start < 1
    with deployment.databases.core() as core:
        context = resolve_tenant(core, "life-whole")
        invitation = core.execute(
            text("SELECT email, role, token_hash, expires_at FROM invitations WHERE tenant_id = :id"),
            {"id": made.id},
        ).one()
    assert context.id == made.id
    assert made.invitation is not None
    assert (invitation.email, invitation.role) == ("ada@example.com", "owner")
    assert invitation.token_hash == token_hash(made.invitation) != made.invitation
    left = invitation.expires_at - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < left <= timedelta(days=14)
    with deployment.databases.tenant(context) as session:
        assert session.scalar(text("SELECT count(*) FROM readings")) == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", ["by its key", "by the worker"])
def test_a_creation_cut_off_at_any_step_ends_like_one_made_in_one_go(
    deployment: Deployment,
    admins: Administration,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
    way: str,
):
    slug = f"life-{STEPS.index(step)}{after:d}{way[-1]}"
    make(admins, f"{slug}-ref", key=f"{slug}-ref")
    name = f"insula_tenants.registry.creation.{step}"
    real = getattr(sys.modules["insula_tenants.registry.creation"], step)

    def cut_off(*arguments: object) -> object:
        if after:
            real(*arguments)
        raise RuntimeError("the power went")

    monkeypatch.setattr(name, cut_off)
    with pytest.raises(RuntimeError):
        make(admins, slug, key=slug)
    monkeypatch.undo()
    was_there = step == "publish" and after
    assert was_there or nobody_finds(deployment, slug)
    if way == "by the worker" and not (step == "register" and not after):
        assert resume_creations(admins, abandoned_after=NOW) == ([] if was_there else [slug])
        assert make(admins, slug, key=slug).repeated
    else:
        made = make(admins, slug, key=slug)
        assert made.repeated == was_there
        assert (made.invitation is None) == was_there
    assert picture(deployment, slug) == picture(deployment, f"{slug}-ref")


_KILLED = """
import sys, time
from insula_tenants.administration import Administration
from insula_tenants.registry import create_tenant, creation
real = creation.upgrade_schema
def stop_in_the_middle(*arguments):
    real(*arguments)
    print("in the middle", flush=True)
    time.sleep(60)
creation.upgrade_schema = stop_in_the_middle
admins = Administration({"main": sys.argv[1]})
create_tenant(admins, "life-killed", "Initech", owner_email=sys.argv[2], key="k9")
"""


def test_a_maker_killed_in_the_middle_of_the_schema_leaves_nothing_and_can_be_followed(
    deployment: Deployment, admins: Administration
):
    command = [sys.executable, "-c", _KILLED, deployment.admin_url, OWNER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "in the middle\n"
        assert nobody_finds(deployment, "life-killed")
        os.kill(maker.pid, signal.SIGKILL)
    made = make(admins, "life-killed", key="k9")
    assert made.invitation is not None
    make(admins, "life-killed-ref", key="k9-ref")
    assert picture(deployment, "life-killed") == picture(deployment, "life-killed-ref")


def test_the_same_key_gives_the_same_tenant_and_another_request_a_conflict(admins: Administration):
    first = make(admins, "life-key", key="once")
    again = make(admins, "life-key", key="once")
    assert (again.id, again.slug, again.invitation, again.repeated) == (first.id, first.slug, None, True)
    for changes in ({"slug": "life-key-2"}, {"name": "Other"}, {"plan": "trial"}, {"owner_email": None}):
        wanted = {"slug": "life-key", "name": "Initech", "owner_email": OWNER} | changes
        with pytest.raises(Conflict, match="Idempotency-Key"):
            create_tenant(admins, **wanted, key="once")
    with pytest.raises(Conflict, match="already"):
        make(admins, "life-key", key="another")
    with pytest.raises(Conflict, match="already"):
        make(admins, "life-key")


@pytest.mark.parametrize("key", ["the same", None])
def test_many_who_ask_at_once_make_one_tenant(deployment: Deployment, key: str | None):
    slug = f"life-race-{'key' if key else 'none'}"

    def ask(_number: int) -> CreatedTenant | Conflict:
        with closing(Administration({"main": deployment.admin_url})) as own:
            try:
                return make(own, slug, key=key)
            except Conflict as conflict:
                return conflict

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    made = [one for one in answers if isinstance(one, CreatedTenant)]
    assert len({one.id for one in made}) == 1
    assert sum(one.invitation is not None for one in made) == 1
    assert len(made) == (4 if key else 1)
    with deployment.databases.core() as core:
        entries = list_entries(core, tenant=made[0].id)
        assert [entry.action for entry in entries] == ["tenant.created"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"plan": "golden"}, "plan"),
        ({"database": "elsewhere"}, "database"),
        ({"owner_email": "nobody"}, "owner_email"),
        ({"owner_email": "a\ud800@example.com"}, "owner_email"),
        ({"key": ""}, "Idempotency-Key"),
        ({"key": "ä"}, "Idempotency-Key"),
    ],
)
def test_bad_input_is_named_and_makes_nothing(
    deployment: Deployment, admins: Administration, changes: dict[str, str], field: str
):
    with pytest.raises(InvalidInput) as caught:
        create_tenant(admins, **{"slug": "life-bad", "name": "Initech"} | changes)
    assert caught.value.field == field
    assert nobody_finds(deployment, "life-bad")


def test_one_creation_that_fails_again_does_not_stop_the_others(
    deployment: Deployment, admins: Administration, monkeypatch: pytest.MonkeyPatch
):
    creation = sys.modules["insula_tenants.registry.creation"]
    real = creation.build_schema

    def fail(*_arguments: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(creation, "build_schema", fail)
    for slug in ("life-fails", "life-works"):
        with pytest.raises(RuntimeError):
            make(admins, slug)
    assert resume_creations(admins) == []  # their maker may be at it yet

    def fail_one(used: Administration, database: str, schema: str) -> None:
        if schema == "tenant_life_fails":
            raise RuntimeError("the disk is full")
        real(used, database, schema)

    monkeypatch.setattr(creation, "build_schema", fail_one)
    assert resume_creations(admins, abandoned_after=NOW) == ["life-works"]
    with deployment.databases.core() as core:
        error = core.scalar(text("SELECT error FROM tenant_jobs WHERE tenant_slug = 'life-fails'"))
    assert error == "the disk is full"
    monkeypatch.undo()
    assert resume_creations(admins, abandoned_after=NOW) == ["life-fails"]
