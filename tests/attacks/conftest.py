"""One deployment for all attacks: `acme` is the intruder, `globex` the neighbour, and both have data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psycopg
import pytest
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.api_keys.models import ApiKey
from insula_platform.app import create_app
from insula_platform.bundles.files import bundle_path
from insula_platform.federation.domains import claim_domain
from insula_platform.federation.service import Setup, put_provider
from insula_platform.oauth.clients import create_operator_client, create_service_client, ensure_ui_client
from insula_platform.oauth.models import Client
from insula_platform.oauth.scopes import API_SCOPES, OPERATOR_SCOPES
from insula_platform.people import Account, add_member, create_account
from insula_platform.scim.models import ScimGroup, ScimGroupMember, ScimUser
from insula_platform.settings import PlatformSettings
from insula_tenants.audit import SYSTEM
from insula_tenants.commands import NewCommand, add_command
from insula_tenants.context import TenantContext
from insula_tenants.devices import Device, NewPoint, create_device, list_points, set_password
from insula_tenants.enrolment.models import ClaimBatch, ClaimCode, Enrolment, ProvisioningKey
from insula_tenants.invitations import Invitation, invite
from insula_tenants.lifecycle.models import TenantJob
from insula_tenants.presence.arrivals import NewStatus, store_statuses
from insula_tenants.quotas import put_quotas
from insula_tenants.spaces import ensure_space
from insula_tenants.telemetry.dead_letters import Which, list_letters
from insula_tenants.telemetry.write import NewDeadLetter, TelemetryWriter, TenantBatch
from insula_tenants.twins import change_desired
from insula_tenants.usage import add_usage
from tests.attacks.api import Attacker
from tests.attacks.intruder import Intruder
from tests.conftest import Deployment, deploy
from tests.platform.conftest import PASSWORD, UI_SECRET, Live
from tests.servers.platform import listen, serving
from tests.servers.postgres import PostgresServer

READ_AT = (datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC))


@dataclass(frozen=True)
class House:
    """What a tenant has, with words and numbers that nothing else in the database holds."""

    context: TenantContext
    device: str
    secret: str
    """A word in the names of its site, space and device, and in a dead letter."""
    value: float
    point: int
    space: int
    letter: int
    """Its dead letter's id."""
    export: UUID
    """An export that is done; its bundle holds the word."""
    command: UUID
    """A command to its device."""
    member: UUID
    """The account of its engineer, whose address and name have the word."""
    api_key: UUID
    """A key of theirs, with the word for a name."""
    invitation: UUID
    """An invitation to an address with the word."""
    client: str
    """A client of its own, whose name holds the word."""
    client_secret: UUID
    """The id of the client's secret."""
    domain: str
    user: UUID
    """Somebody whom its directory knows, in `group`."""
    group: UUID
    batch: UUID
    """A batch of claim codes with the word for a name."""
    upload: UUID
    """An upload of devices that is done, with the word in its report."""
    key: UUID
    """A provisioning key with the word for a name."""
    enrolment: UUID
    """A device that waits, with the word in its serial number."""


@pytest.fixture(scope="session")
def deployment(postgres_server: PostgresServer) -> Iterator[Deployment]:
    """One database for the whole suite: attacks that succeed nowhere leave nothing behind."""
    yield from deploy(postgres_server)


@pytest.fixture(scope="session")
def acme(deployment: Deployment) -> House:
    return _furnish(deployment, deployment.acme, "marzipan", 4711.0625, others=0)


@pytest.fixture(scope="session")
def globex(deployment: Deployment) -> House:
    """The neighbour's ids differ from acme's, so that one of them is never by chance one's own."""
    return _furnish(deployment, deployment.globex, "saffron", 8128.0625, others=20)


@pytest.fixture
def intruder(deployment: Deployment, acme: House, globex: House) -> Iterator[Intruder]:
    """Any SQL, inside a transaction of acme."""
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        yield Intruder(connection, deployment.acme.schema)


@pytest.fixture
def administrator(deployment: Deployment) -> Iterator[psycopg.Connection]:
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def attacker(
    deployment: Deployment, acme: House, globex: House, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacker]:
    bundles = tmp_path_factory.mktemp("bundles")
    for house in (acme, globex):
        bundle = bundle_path(bundles, house.context.id, house.export)
        bundle.parent.mkdir()
        bundle.write_text(house.secret)
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url,
            secret_key="a secret key that is long enough for tests",
            database_url=deployment.service_url,
            ui_url="http://127.0.0.1:1",
            ui_client_secret=UI_SECRET,
            bundle_dir=bundles,
        )
        with deployment.databases.core() as core:
            ensure_ui_client(core, settings)
            ada = create_account(core, "ada@example.com", "Ada", PASSWORD)
            add_member(core, ada, deployment.acme, "owner")
            service = create_service_client(core, deployment.acme, "attacker", "readings:read devices:read")
            everything = " ".join(API_SCOPES)
            programs: dict[str | None, str] = {
                house.context.slug: create_service_client(core, house.context, "everything", everything)[0]
                for house in (acme, globex)
            }
            programs[None] = create_operator_client(core, "everything", " ".join(OPERATOR_SCOPES))[0]
        structlog.reset_defaults()  # another test may have shaped the logs of this process
        app = create_app(settings)
        with serving(app, listener), httpx.Client(base_url=url, timeout=30) as http:
            yield Attacker(Live(url, settings, app.state.platform, deployment, service), http, programs)


def _furnish(
    deployment: Deployment, context: TenantContext, secret: str, value: float, *, others: int
) -> House:
    device = f"{secret}-meter"
    with deployment.databases.tenant(context) as session:
        for number in range(others):
            create_device(session, f"other-{number:02}", name="Other", points=[NewPoint("power")])
            space = _space(session, secret, f"Room {number} {secret}")
        space = _space(session, secret, f"Room {secret}")
        points = [NewPoint("temperature", "Zone_Air_Temperature_Sensor")]
        create_device(session, device, name=f"Meter {secret}", space_id=space, points=points)
        set_password(session, device, f"password {secret}")
        point = list_points(session, device=device)[0].id
        command = add_command(session, device, NewCommand("show", {"text": secret}), actor=SYSTEM).id
        change_desired(session, device, {"text": secret})
        for number in range(others + 1):
            connected = number % 2 == 0
            at = READ_AT[0] + timedelta(seconds=number)
            store_statuses(session, [NewStatus(_id_of(session, device), connected, at)])
    batch = TenantBatch(context)
    for at in READ_AT:
        batch.readings[point, round(at.timestamp() * 1e6)] = value
    for number in range(others + 1):  # the last one is the house's
        topic = f"tenants/{context.slug}/{number}"
        batch.dead_letters.append(NewDeadLetter(READ_AT[0], topic, device, "reason", secret, secret.encode()))
    with psycopg.connect(deployment.service_url, autocommit=True) as connection:
        TelemetryWriter(connection).write([batch])
    with deployment.databases.tenant(context) as session:
        letter = list_letters(session, Which())[0].id
    with psycopg.connect(deployment.admin_url, autocommit=True) as connection:
        connection.execute("ANALYZE")  # the planner's statistics hold values too
    with deployment.databases.core() as core:
        # Attacks come fast: a limit would turn them away before they meet the wall that they try.
        put_quotas(core, context.slug, plan="unlimited", actor=SYSTEM)
        for day in (READ_AT[0].date(), datetime.now(UTC).date()):
            add_usage(core, context.id, day, {"messages": int(value), "api_calls": 1})
        job = TenantJob(
            tenant_id=context.id, tenant_slug=context.slug, kind="export", state="done", result={}
        )
        core.add(job)
        core.flush()
        export = job.id
        people = _people(core, context, secret)
        program = _program(core, context, secret)
        sign_on = _sign_on(core, context, secret)
        enrolment = enrolment_of(core, context, secret)
    waiting = waiting_of(deployment, context, secret, enrolment[-1])
    rest = (*people, *program, *sign_on, *enrolment, waiting)
    return House(context, device, secret, value, point, space, letter, export, command, *rest)


def _program(core: Session, context: TenantContext, secret: str) -> tuple[str, UUID]:
    """A client, and the id of its secret."""
    client, _ = create_service_client(core, context, f"Program {secret}", "readings:read")
    return client, core.get_one(Client, client).secrets[0].id


def _people(core: Session, context: TenantContext, secret: str) -> tuple[UUID, UUID, UUID]:
    """A member, a key of theirs, and an invitation."""
    account = Account(email=f"engineer@{secret}.example", name=f"Engineer {secret}")
    core.add(account)
    core.flush()
    add_member(core, account, context, "engineer")
    key = ApiKey(
        tenant_id=context.id,
        account_id=account.id,
        name=f"Key {secret}",
        key_hash=f"hash of {secret}",
        hint="isk_0000",
        scope="readings:read",
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    core.add(key)
    invite(core, context.id, f"invited@{secret}.example", "viewer")
    invitation = core.scalars(select(Invitation).where(Invitation.tenant_id == context.id)).one()
    core.flush()
    return account.id, key.id, invitation.id


def _sign_on(core: Session, context: TenantContext, secret: str) -> tuple[str, UUID, UUID]:
    """An identity provider, a domain, and a directory's user in a group, all with the word in their names."""
    domain = f"house-{len(secret)}.example"  # it is in paths, which answers repeat
    setup = Setup(
        f"https://{domain}", secret, secret, "openid", "email_verified", None, {}, "viewer", True, False
    )
    put_provider(core, PlatformSettings(secret_key="k" * 32), context, setup, actor=SYSTEM)
    claim_domain(core, context, domain, actor=SYSTEM)
    account = Account(email=f"somebody@{domain}", name=f"Somebody {secret}")
    core.add(account)
    core.flush()
    user = ScimUser(tenant_id=context.id, account_id=account.id, user_name=account.email, brought=True)
    group = ScimGroup(tenant_id=context.id, display_name=f"Group {secret}")
    core.add_all([user, group])
    core.flush()
    core.add(ScimGroupMember(group_id=group.id, user_id=user.id))
    return domain, user.id, group.id


def enrolment_of(core: Session, context: TenantContext, secret: str) -> tuple[UUID, UUID, UUID]:
    """A batch of one claim code, an upload of devices, and a provisioning key."""
    batch = ClaimBatch(
        tenant_id=context.id,
        name=f"Batch {secret}",
        prefix=secret,
        created_by="nobody",
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    upload = TenantJob(
        tenant_id=context.id,
        tenant_slug=context.slug,
        kind="devices",
        state="done",
        parameters={"passwords": None, "results": [[2, None, "bad", "device", secret]]},
    )
    key = ProvisioningKey(
        tenant_id=context.id,
        name=f"Key {secret}",
        key_hash=f"hash of {secret}",
        prefix=secret,
        most_devices=1,
        created_by="nobody",
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    core.add_all([batch, upload, key])
    core.flush()
    core.add(ClaimCode(code_hash=f"hash of {secret}", batch_id=batch.id, number=1))
    return batch.id, upload.id, key.id


def waiting_of(deployment: Deployment, context: TenantContext, secret: str, key: UUID) -> UUID:
    """A device that announced itself with this key."""
    with deployment.databases.tenant(context) as session:
        waiting = Enrolment(key_id=key, serial=f"SN {secret}", secret_hash=f"hash of {secret}")
        session.add(waiting)
        session.flush()
        return waiting.id


def _id_of(session: Session, slug: str) -> int:
    return session.execute(select(Device.id).where(Device.slug == slug)).scalar_one()


def _space(session, secret: str, name: str) -> int:
    return ensure_space(
        session,
        site=f"Site {secret}",
        building="Forum",
        time_zone="Europe/Brussels",
        storey="Ground floor",
        level=0,
        name=name,
    )
