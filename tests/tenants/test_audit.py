"""The audit log: whole with the change it tells of, and never altered."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from insula_tenants.audit import Actor, list_entries, record
from insula_tenants.lifecycle import suspend_tenant
from tests.conftest import Deployment

ADA = Actor("person", "ada", "192.0.2.7", "request-1")


def test_an_entry_says_who_did_what_from_where(deployment: Deployment):
    with deployment.databases.core() as core:
        record(core, ADA, "device.added", tenant=deployment.acme.id, target="desk-1", detail={"name": "Desk"})
    with deployment.databases.core() as core:
        entry = list_entries(core, tenant=deployment.acme.id)[0]
        assert (entry.actor_kind, entry.actor, entry.address) == ("person", "ada", "192.0.2.7")
        assert (entry.action, entry.target, entry.detail) == ("device.added", "desk-1", {"name": "Desk"})
        assert entry.request_id == "request-1"
        assert entry.at.tzinfo is not None


def test_a_change_that_is_rolled_back_leaves_no_entry_and_one_that_stands_leaves_one(
    fresh_deployment: Deployment,
):
    databases, acme = fresh_deployment.databases, fresh_deployment.acme

    def actions() -> list[str]:
        with databases.core() as core:
            return [entry.action for entry in list_entries(core, tenant=acme.id)]

    before = actions()

    def cut_off() -> None:
        with databases.core() as core:
            suspend_tenant(core, "acme", "unpaid", actor=ADA)
            core.flush()
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        cut_off()
    assert actions() == before
    with databases.core() as core:
        suspend_tenant(core, "acme", "unpaid", actor=ADA)
    assert actions() == ["tenant.suspended", *before]


def test_pages_go_back_in_time_and_keep_to_one_tenant(fresh_deployment: Deployment):
    databases = fresh_deployment.databases
    with databases.core() as core:
        for number in range(7):
            for context in (fresh_deployment.acme, fresh_deployment.globex):
                record(core, ADA, "thing.done", tenant=context.id, target=str(number))
                core.flush()
    seen: list[str] = []
    before = None
    with databases.core() as core:
        while page := list_entries(core, tenant=fresh_deployment.acme.id, before=before, limit=3):
            seen += [entry.target for entry in page if entry.action == "thing.done"]
            before = page[-1].id
        assert list_entries(core, before=10**30)
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE tenants CASCADE",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "DROP TABLE audit_log",
        "GRANT UPDATE ON audit_log TO insula",
        "INSERT INTO audit_log (id, actor_kind, actor, action, target) VALUES (1, 'person', 'a', 'b', 'c')",
        "UPDATE erasure_receipts SET receipt = ''",
        "DELETE FROM erasure_receipts",
        "TRUNCATE erasure_receipts",
    ],
)
def test_the_services_can_add_entries_and_never_alter_them(deployment: Deployment, statement: str):
    with deployment.databases.core() as core:
        record(core, ADA, "thing.done", tenant=None, target="x")
        core.flush()
        before = core.scalar(text("SELECT count(*) FROM audit_log"))

    def attack() -> None:
        with deployment.databases.core() as core:
            # To grant what one has no right to give is a warning and no error: then it must have no effect.
            core.execute(text(statement))
            core.execute(text("UPDATE audit_log SET actor = 'nobody'"))

    with pytest.raises(ProgrammingError) as caught:
        attack()
    assert isinstance(
        caught.value.orig, (psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)
    )
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM audit_log")) == before


def test_a_tenants_role_sees_nothing_of_the_log(deployment: Deployment):
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM insula.audit_log")) is not None
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        deployment.databases.tenant(deployment.acme) as session,
    ):
        session.execute(text("SELECT * FROM insula.audit_log"))
