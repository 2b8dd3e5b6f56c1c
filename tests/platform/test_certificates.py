"""Devices that sign in with certificates, from the request to the end: real TLS, Mosquitto, HTTP."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import update

from insula_ingest.device import Certificate, Device, DeviceError
from insula_ingest.settings import IngestSettings
from insula_ingest.transport import MqttSource
from insula_platform.app import create_app
from insula_platform.broker.trust import Trust, keep
from insula_platform.certificates.service import authorities_seal
from insula_platform.oauth.clients import create_service_client
from insula_platform.renewal import app as renewal
from insula_platform.renewal.serve import make_server
from insula_platform.settings import PlatformSettings
from insula_tenants.audit import SYSTEM
from insula_tenants.broker import CONTROL, INGEST, broker_access
from insula_tenants.certificates import DeviceCertificate, authority_of
from insula_tenants.certificates.authority import Authority, sign_device
from insula_tenants.devices import create_device
from insula_tenants.errors import ConfigurationError
from insula_tenants.lifecycle import resume_tenant, suspend_tenant
from tests.conftest import Deployment
from tests.servers.certificates import Identity, ServerFiles, csr_of, identity_of, server_files
from tests.servers.mosquitto import CertifiedMosquitto, free_port
from tests.servers.mqtt import MqttClient, unique
from tests.servers.platform import listen, serving
from tests.waiting import eventually

_PLAIN = httpx.create_ssl_context(verify=False)


@dataclass
class Site:
    """A platform, a Mosquitto that takes certificates, what keeps it in step, and a renewal server."""

    url: str
    settings: PlatformSettings
    deployment: Deployment
    broker: CertifiedMosquitto
    trust: Trust
    files: ServerFiles
    directory: Path
    tokens: dict[str, str]

    def api(
        self, method: str, path: str, json: object = None, *, tenant: str = "acme", token: str | None = None
    ) -> httpx.Response:
        """A request with the tenant's token, or another's."""
        headers = {"Authorization": f"Bearer {self.tokens[token or tenant]}"}
        with httpx.Client(base_url=self.url, verify=_PLAIN, timeout=30) as client:
            return client.request(method, f"/api/v1/tenants/{tenant}{path}", json=json, headers=headers)

    def ask(self, path: str, body: object, token: str | None = None) -> httpx.Response:
        """What a device asks that is nobody's yet."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(base_url=self.url, verify=_PLAIN, timeout=30) as client:
            return client.post(f"/api/v1/{path}", json=body, headers=headers)

    def device(self, name: str, tenant: str = "acme") -> Identity:
        """A new device with a certificate."""
        with self.deployment.databases.tenant(getattr(self.deployment, tenant)) as session:
            create_device(session, name, name=name)
        identity = self.certificate(name, tenant)
        # Mosquitto takes its time to read the authority of a new tenant.
        eventually(lambda: not self.is_refused(identity), what="the authority at the broker")
        return identity

    def certificate(self, name: str, tenant: str = "acme") -> Identity:
        """A certificate for a device that is there."""
        key = ec.generate_private_key(ec.SECP256R1())
        answer = self.api("POST", f"/devices/{name}/certificates", {"csr": csr_of(key)}, tenant=tenant)
        assert answer.status_code == 201, answer.text
        self.trust.look()
        return identity_of(self.directory, unique(f"{tenant}-{name}"), key, answer.json()["certificate"])

    def connect(self, identity: Identity, **options: object) -> MqttClient:
        """A connection of the device; the broker sees to its names."""
        options = {"client_id": "any", **options}
        return MqttClient(self.broker.tls_port, None, None, tls=identity.trusting(self.files), **options)

    def is_refused(self, identity: Identity) -> bool:
        """Whether the broker does not let the device in."""
        client = self.connect(identity)
        try:
            return not client.connect()
        except OSError:  # the handshake has failed
            return True
        finally:
            client.close()

    def renew(self, identity: Identity | None, csr: str) -> httpx.Response:
        """Ask the renewal server."""
        context = ssl.create_default_context(cafile=self.files.authority)
        if identity is not None:
            context = identity.trusting(self.files)
        url = f"https://127.0.0.1:{self.settings.renewal_port}/renew"
        with httpx.Client(verify=context, timeout=30) as client:
            return client.post(url, json={"csr": csr})


@contextmanager
def renewing(settings: PlatformSettings, deployment: Deployment) -> Iterator[None]:
    server = make_server(settings, deployment.databases)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started, what="the renewal server")
    yield
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def site(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    files = server_files(directory / "server")
    broker = CertifiedMosquitto(directory, files)
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = PlatformSettings(
            public_url=url,
            secret_key="a secret key that is long enough for tests",
            database_url=deployment.service_url,
            broker_access="x509",
            broker_admin_password=broker.passwords[CONTROL],
            mqtt_port=broker.port,
            renewal_port=free_port(),
            renewal_cert_file=files.certificate,
            renewal_key_file=files.key,
        )
        trust = Trust(settings, deployment.databases, directory, broker.pid_file)
        trust.look()  # Mosquitto does not start without its files
        with deployment.databases.core() as core:  # and the renewal server looks for new ones now and then
            for context in (deployment.acme, deployment.globex):
                authority_of(core, authorities_seal(settings), context, actor=SYSTEM)
        structlog.reset_defaults()
        app = create_app(settings)
        broker.start()
        with serving(app, listener), renewing(settings, deployment):
            tokens = {}
            for name, tenant, scope in (
                ("acme", "acme", "devices:read devices:write"),
                ("globex", "globex", "devices:read devices:write"),
                ("reader", "acme", "devices:read"),
            ):
                with deployment.databases.core() as core:
                    auth = create_service_client(core, getattr(deployment, tenant), name, scope)
                with httpx.Client(verify=_PLAIN) as client:
                    answer = client.post(
                        f"{url}/oauth/token", data={"grant_type": "client_credentials"}, auth=auth
                    )
                tokens[name] = answer.json()["access_token"]
            yield Site(url, settings, deployment, broker, trust, files, directory, tokens)
    broker.stop()


@pytest.fixture
def ingest(site: Site) -> Iterator[MqttClient]:
    with MqttClient(
        site.broker.port, INGEST, site.broker.passwords[INGEST], client_id=unique("insula-ingest")
    ) as client:
        assert client.subscribe("tenants/+/devices/+/telemetry")
        yield client


def test_a_certificate_opens_the_devices_own_topics_and_no_others(site: Site, ingest: MqttClient):
    device = site.device("lamp-1")
    own, forged = unique("own"), unique("forged")
    for topic in (
        "tenants/acme/devices/lamp-2/telemetry",
        "tenants/globex/devices/lamp-1/telemetry",
        "tenants/acme/devices/lamp-1/temperature",
        "tenants/acme/devices/lamp-1/desired",
        "insula/live/values/acme",
    ):
        with site.connect(device) as client:  # Mosquitto ends a connection that it refused something
            assert client.publish(topic, forged) == "refused"
    with site.connect(device) as client:
        assert client.publish("tenants/acme/devices/lamp-1/telemetry", own) == "taken"
    assert ingest.wait_for(own).topic == "tenants/acme/devices/lamp-1/telemetry"
    assert [one.payload for one in ingest.received] == [own]


def test_a_device_hears_its_own_orders_alone_whatever_it_subscribes_to(site: Site):
    listener, talker = site.device("ears-1"), site.device("mouth-1")
    order = unique("order")
    control = MqttClient(
        site.broker.port, CONTROL, site.broker.passwords[CONTROL], client_id=unique("control")
    )
    with site.connect(listener) as ears, site.connect(talker) as mouth, control:
        for everything in ("#", "tenants/#", "tenants/acme/devices/ears-1/desired"):
            ears.subscribe(everything)
        assert mouth.publish("tenants/acme/devices/mouth-1/telemetry", unique("private")) == "taken"
        control.publish("tenants/acme/devices/mouth-1/desired", unique("private"))
        control.publish("tenants/acme/devices/ears-1/desired", order)
        ears.wait_for(order)
        assert {one.payload for one in ears.received} == {order}


def test_a_device_takes_nobodys_client_id(site: Site, ingest: MqttClient):
    thief, victim = site.device("thief-1"), site.device("victim-1")
    with MqttClient(
        site.broker.port, INGEST, site.broker.passwords[INGEST], client_id="insula-ingest-0"
    ) as kept:
        with site.connect(victim) as other:
            for client_id in ("insula-ingest-0", "acme/devices/victim-1"):
                with site.connect(thief, client_id=client_id):
                    pass
            payload = unique("still")
            assert other.publish("tenants/acme/devices/victim-1/telemetry", payload) == "taken"
            ingest.wait_for(payload)
        assert not kept.closed


def test_who_has_no_certificate_does_not_get_in(site: Site, tmp_path: Path):
    """Nor with a service's name, another client's id, or a certificate that somebody else signed."""
    site.device("proof-1")
    stranger = server_files(tmp_path)
    for tls in (
        ssl.create_default_context(cafile=site.files.authority),
        Identity(stranger.certificate, stranger.key).trusting(site.files),
    ):
        client = MqttClient(
            site.broker.tls_port,
            CONTROL,
            site.broker.passwords[CONTROL],
            client_id="insula-ingest-0",
            tls=tls,
        )
        try:
            assert not client.connect()
        except OSError:
            pass
        finally:
            client.close()


def test_revoked_means_disconnected_and_refused_everywhere(site: Site):
    gone, kept = site.device("gone-1"), site.device("kept-1")
    (listed,) = site.api("GET", "/devices/gone-1/certificates").json()
    with site.connect(gone) as client, site.connect(kept) as neighbour:
        path = f"/devices/gone-1/certificates/{listed['serial']}/revoke"
        assert site.api("POST", path, {"reason": "key_compromise"}).status_code == 204
        assert site.trust.look() == [("acme", "gone-1")]
        client.wait_closed()
        assert neighbour.publish("tenants/acme/devices/kept-1/telemetry", "1") == "taken"
    eventually(lambda: site.is_refused(gone), what="the end of the revoked certificate")
    assert not site.is_refused(kept)
    refused = site.renew(gone, csr_of(ec.generate_private_key(ec.SECP256R1())))
    assert refused.status_code == 403
    assert "not good here" in refused.json()["detail"]
    crl = site.api("GET", "/certificate-authority").json()["crl"]
    answer = httpx.get(crl, verify=_PLAIN)
    assert answer.headers["content-type"] == "application/pkix-crl"
    revoked = x509.load_der_x509_crl(answer.content)
    assert revoked.get_revoked_certificate_by_serial_number(int(listed["serial"], 16)) is not None
    assert site.trust.look() == []  # once is enough


def test_a_device_that_is_revoked_through_the_broker_access_is_out(site: Site):
    device = site.device("retired-1")
    with site.connect(device) as client:
        broker_access(site.settings).revoke("acme", "retired-1")
        site.trust.look()
        client.wait_closed()
    eventually(lambda: site.is_refused(device), what="the end of its certificate")
    (listed,) = site.api("GET", "/devices/retired-1/certificates").json()
    assert listed["reason"] == "cessation_of_operation"


def test_a_suspended_tenants_devices_are_out_until_it_is_resumed(site: Site):
    device, neighbour = site.device("meter-1", "globex"), site.device("meter-1")
    with site.connect(device) as client, site.connect(neighbour) as other:
        with site.deployment.databases.core() as core:
            suspend_tenant(core, "globex", "unpaid")
        assert ("globex", "meter-1") in site.trust.look()
        client.wait_closed()
        assert other.publish("tenants/acme/devices/meter-1/telemetry", "1") == "taken"
    eventually(lambda: site.is_refused(device), what="the end of the tenant's trust")
    assert site.renew(device, csr_of(ec.generate_private_key(ec.SECP256R1()))).status_code == 403
    with site.deployment.databases.core() as core:
        resume_tenant(core, "globex")
    site.trust.look()
    eventually(lambda: not site.is_refused(device), what="the tenant's trust")


def test_a_device_renews_its_certificate_by_itself(site: Site, tmp_path: Path):
    old = site.device("young-1")
    key = ec.generate_private_key(ec.SECP256R1())
    answer = site.renew(old, csr_of(key, "globex/devices/young-1"))
    assert answer.status_code == 201, answer.text
    new = identity_of(tmp_path, "new", key, answer.json()["certificate"])
    for identity in (old, new):  # the old one is good until it expires
        with site.connect(identity) as client:
            assert client.publish("tenants/acme/devices/young-1/telemetry", "1") == "taken"
    assert [one["renewed"] for one in site.api("GET", "/devices/young-1/certificates").json()] == [
        True,
        False,
    ]
    for nobody in (None, Identity(site.files.certificate, site.files.key)):
        with pytest.raises(httpx.TransportError):
            site.renew(nobody, csr_of(key))


def test_what_is_revoked_while_it_is_being_renewed_leaves_nothing_good(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    device = site.device("caught-1")
    (listed,) = site.api("GET", "/devices/caught-1/certificates").json()
    issue = renewal.issue_certificate

    def late(*given: Any, **more: Any) -> Any:
        revocation = f"/devices/caught-1/certificates/{listed['serial']}/revoke"
        assert site.api("POST", revocation, {"reason": "key_compromise"}).status_code == 204
        return issue(*given, **more)

    monkeypatch.setattr(renewal, "issue_certificate", late)
    assert site.renew(device, csr_of(ec.generate_private_key(ec.SECP256R1()))).status_code == 403
    certificates = site.api("GET", "/devices/caught-1/certificates").json()
    assert len(certificates) == 2
    assert all(one["revoked_at"] for one in certificates)


def test_a_neighbours_key_signs_for_nobody_at_renewal(site: Site, tmp_path: Path):
    """With the very key of acme's authority, and globex's name on the certificate, or a device's of acme."""
    site.device("copied-1")
    with site.deployment.databases.core() as core:
        row = authority_of(core, authorities_seal(site.settings), site.deployment.acme, actor=SYSTEM)
        stolen = Authority.load(row.certificate, authorities_seal(site.settings).decrypt(row.sealed_key))
    for tenant in ("globex", "acme"):
        key = ec.generate_private_key(ec.SECP256R1())
        lifetime, url = timedelta(days=1), "https://127.0.0.1/none.crl"
        forged = sign_device(
            stolen, tenant, "copied-1", key.public_key(), lifetime=lifetime, crl_url=url
        ).public_bytes(Encoding.PEM)
        identity = identity_of(tmp_path, tenant, key, forged.decode())
        if tenant == "globex":  # the authority's own constraints: no handshake, here and at the broker
            assert site.is_refused(identity)
            with pytest.raises(httpx.TransportError):
                site.renew(identity, csr_of(key))
        else:  # nobody has issued it, whoever signed it
            assert site.renew(identity, csr_of(key)).status_code == 403


def test_what_was_revoked_while_nobody_looked_is_ended_by_the_next_who_does(site: Site):
    device = site.device("unseen-1")
    with site.connect(device) as client:
        (listed,) = site.api("GET", "/devices/unseen-1/certificates").json()
        site.api("POST", f"/devices/unseen-1/certificates/{listed['serial']}/revoke", {})
        hour = timedelta(hours=1)
        with site.deployment.databases.core() as core:  # an hour ago, and so was the last look
            core.execute(
                update(DeviceCertificate)
                .where(DeviceCertificate.serial == listed["serial"])
                .values(revoked_at=datetime.now(UTC) - hour)
            )
        looked = site.directory / "looked"
        os.utime(looked, (looked.stat().st_mtime - 3600 - 1,) * 2)
        next_one = Trust(site.settings, site.deployment.databases, site.directory, site.broker.pid_file)
        assert ("acme", "unseen-1") in next_one.look()
        client.wait_closed()


def test_a_claim_code_is_traded_for_a_certificate(site: Site, ingest: MqttClient, tmp_path: Path):
    asked = {"name": "Delivery", "count": 1, "prefix": "box", "expires_in": 3600}
    (code,) = site.api("POST", "/claim-batches", asked).json()["codes"]
    for csr in (None, "no request"):  # a code is not used up by who cannot be given a certificate
        refused = site.ask("claims", {"code": code, "csr": csr})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "csr")
    key = ec.generate_private_key(ec.SECP256R1())
    answer = site.ask("claims", {"code": code, "csr": csr_of(key, "globex/devices/box-1")})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["device"], told["credentials"], told["qr"]) == ("box-1", None, None)
    site.trust.look()
    device = identity_of(tmp_path, "box", key, told["certificate"]["certificate"])
    eventually(lambda: not site.is_refused(device), what="the authority at the broker")
    own = unique("own")
    with site.connect(device) as client:
        assert client.publish("tenants/acme/devices/box-1/telemetry", own) == "taken"
    assert ingest.wait_for(own).topic == "tenants/acme/devices/box-1/telemetry"
    assert site.ask("claims", {"code": code, "csr": csr_of(key)}).status_code == 404


def test_a_device_that_enrols_anew_has_its_new_certificate_alone(site: Site, tmp_path: Path):
    asked = {"name": "Fleet", "prefix": "fleet", "approved_serials": ["*"]}
    fleet = site.api("POST", "/provisioning-keys", asked).json()["secret"]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def announce() -> dict[str, str]:
        told: dict[str, str] = site.ask("enrolments", {"serial": "S-1"}, fleet).json()
        return told

    def fetch(announced: dict[str, str], csr: str | None) -> httpx.Response:
        asked = {"secret": announced["secret"], "csr": csr}
        return site.ask(f"enrolments/{announced['enrolment']}/login", asked, fleet)

    first = announce()
    refused = fetch(first, None)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "csr")
    told = fetch(first, csr_of(keys[0])).json()
    assert told["credentials"] is None
    old = identity_of(tmp_path, "old", keys[0], told["certificate"]["certificate"])
    again = announce()
    approval = site.api("POST", f"/enrolments/{again['enrolment']}/approve", {"device": told["device"]})
    assert approval.status_code == 200, approval.text
    answer = fetch(again, csr_of(keys[1]))
    assert answer.status_code == 201, answer.text
    new = identity_of(tmp_path, "new", keys[1], answer.json()["certificate"]["certificate"])
    site.trust.look()
    eventually(lambda: not site.is_refused(new), what="the authority at the broker")
    eventually(lambda: site.is_refused(old), what="the list of revoked certificates")
    certificates = site.api("GET", f"/devices/{told['device']}/certificates").json()
    assert [one["reason"] for one in certificates] == [None, "superseded"]


def test_a_device_that_is_not_there_or_not_active_gets_no_certificate(site: Site):
    request = {"csr": csr_of(ec.generate_private_key(ec.SECP256R1()))}
    assert site.api("POST", "/devices/nobody-1/certificates", request).status_code == 404
    site.device("former-1")
    with site.deployment.databases.tenant(site.deployment.acme) as session:
        session.connection().exec_driver_sql("UPDATE devices SET state = 'held' WHERE slug = 'former-1'")
    refused = site.api("POST", "/devices/former-1/certificates", request)
    assert (refused.status_code, "is held" in refused.json()["detail"]) == (409, True)


def test_a_neighbour_and_a_reader_issue_and_revoke_nothing(site: Site):
    device = site.device("mine-1")
    (listed,) = site.api("GET", "/devices/mine-1/certificates").json()
    revocation = f"/devices/mine-1/certificates/{listed['serial']}/revoke"
    request = {"csr": csr_of(ec.generate_private_key(ec.SECP256R1()))}
    for path, body in ((revocation, {}), ("/devices/mine-1/certificates", request)):
        assert site.api("POST", path, body, tenant="acme", token="reader").status_code == 403
        assert site.api("POST", path, body, tenant="acme", token="globex").status_code == 404
        assert site.api("POST", path, body, tenant="globex").status_code == 404
    assert site.api("GET", "/devices/mine-1/certificates", token="reader").json() == [listed]
    assert not site.is_refused(device)


def test_ingest_shares_no_subscription_with_devices_that_could_join_it(site: Site):
    settings = IngestSettings(broker_access="x509", ingest_share=True)
    with pytest.raises(ConfigurationError, match="INSULA_INGEST_SHARE"):
        MqttSource(settings)


def test_the_device_library_signs_in_with_its_certificate_and_renews_it(
    site: Site, ingest: MqttClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    identity, file = site.device("library-1"), tmp_path / "identity.pem"
    first = identity.certificate.read_bytes() + identity.key.read_bytes()
    file.write_bytes(first)
    certificate = Certificate(file, site.files.authority)
    assert not certificate.is_due()
    url = f"https://127.0.0.1:{site.settings.renewal_port}"
    for nowhere in (url.replace("https", "http"), f"https://127.0.0.1:{free_port()}", f"{url}/elsewhere"):
        with pytest.raises(DeviceError):
            certificate.renew(nowhere)
        assert file.read_bytes() == first
    monkeypatch.setattr("insula_ingest.device.certificate.RENEWED_WITH", 1.0)
    assert ingest.subscribe("tenants/+/devices/+/telemetry")
    refused: list[DeviceError] = []
    for number in range(2):  # with the first one, and with the one that took its place
        before = file.read_bytes()
        with Device(
            "acme",
            "library-1",
            port=site.broker.tls_port,
            certificate=certificate,
            renew_at=url,
            on_refused=refused.append,
        ) as device:
            eventually(lambda before=before: file.read_bytes() != before, what="the new certificate")
            device.publish({"number": number})
            device.flush(10)
    for number in range(2):  # acknowledged: the broker has it, and perhaps not yet whoever listens
        sent = f'"number":{number}'
        eventually(lambda sent=sent: any(sent in one.payload for one in ingest.received), what=sent)
    assert refused == []
    assert file.stat().st_mode & 0o077 == 0
    assert len(site.api("GET", "/devices/library-1/certificates").json()) == 3


def test_what_stands_beside_the_broker_writes_its_files_and_outlives_an_outage(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    site.device("kept-2")
    stopping = threading.Event()
    arguments = (tmp_path, tmp_path / "mosquitto.pid", stopping)
    thread = threading.Thread(target=keep, args=(site.settings, *arguments))
    thread.start()
    authorities = tmp_path / "authorities.pem"
    eventually(authorities.exists, what="the file of authorities")
    stopping.set()
    thread.join(20)
    names = [
        one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(authorities.read_bytes())
    ]
    assert names == [f"CN={tenant} devices,O={tenant}" for tenant in ("acme", "globex")]
    assert len((tmp_path / "revoked.pem").read_bytes().split(b"BEGIN X509 CRL")) == 3

    away = f"postgresql://insula_service:insula@127.0.0.1:{free_port()}/insula"
    lost = PlatformSettings.model_validate(site.settings.model_dump() | {"database_url": away})
    stopping.clear()
    thread = threading.Thread(target=keep, args=(lost, *arguments))
    thread.start()
    eventually(lambda: "not in step with the registry" in caplog.text, what="the outage in the log")
    stopping.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(x509.load_pem_x509_certificates(authorities.read_bytes())) == 2
