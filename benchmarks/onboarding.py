"""What it takes to bring a device in, for each way that a broker knows devices.

Each way grows a tenant of its own to 100 and 1 000 devices (and 10 000), a hundred at a time as a program
does, and then adds some one by one as a person does. A real Mosquitto takes the dynamic-security plugin's
commands, a PostgreSQL has the registry. The keys of devices with certificates are theirs to make, not timed.

    python -m benchmarks.onboarding           # 100 and 1 000 devices
    python -m benchmarks.onboarding --long    # and 10 000: some minutes
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from benchmarks.deployment import fresh, record, server
from insula_platform.broker.decisions import Decisions
from insula_platform.broker.device_logins import DeviceLogins
from insula_platform.broker.mosquitto import mosquitto_command
from insula_tenants.audit import SYSTEM
from insula_tenants.broker import CONTROL, BrokerAccess, BrokerUnreachable, RegistryReader, new_password
from insula_tenants.broker.dynamic_security import DynamicSecurity
from insula_tenants.broker.refusals import Refusals
from insula_tenants.certificates import issue
from insula_tenants.context import TenantContext
from insula_tenants.database import Databases
from insula_tenants.devices.onboarding import NewDevice, onboard

AT_ONCE = 100
ONE_BY_ONE = 10
ROWS = ("a hundred at a time, ms a device", "one more, ms", "the broker asks at a connection, ms")

Results = dict[str, dict[str, float]]


class Way:
    """One tenant's devices, brought in one way."""

    def __init__(self, databases: Databases, context: TenantContext, broker: BrokerAccess) -> None:
        self.databases = databases
        self.context = context
        self.broker = broker
        self.passwords: dict[str, str] = {}

    def add(self, count: int) -> None:
        """Bring `count` devices in."""
        first = len(self.passwords)
        devices = [NewDevice(f"lamp-{first + each}", "Lamp") for each in range(count)]
        self.passwords |= onboard(self.databases, self.broker, self.context, devices)

    def asked(self) -> float | None:
        """Milliseconds of processing when the broker asks about a connection; None where it does not."""
        return None


class Certificates(Way):
    """Each device has a request signed. What it takes the device to make a key is not ours."""

    seal = Fernet(Fernet.generate_key())

    def add(self, count: int) -> None:
        """Bring them in, and sign a request of each."""
        first = len(self.passwords)
        super().add(count)
        for device in list(self.passwords)[first:]:
            with self.databases.core() as core:
                issue(
                    core,
                    self.seal,
                    self.context,
                    device,
                    self.requests.pop(),
                    lifetime=timedelta(days=30),
                    crl_url=lambda key_id: f"https://insula.example.com/pki/{key_id}.crl",
                    actor=SYSTEM,
                )

    def prepare(self, count: int) -> None:
        """Make the devices' keys and requests, outside of what is measured."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")
        self.requests = [request] * count


class Callbacks(Way):
    """Nothing is told to the broker, which asks when a device connects."""

    def asked(self) -> float:
        """A right password that is not remembered; each question is another device's."""
        decisions = Decisions(DeviceLogins(self.databases), {}, Refusals())

        async def ask() -> list[float]:
            took = []
            for device in list(self.passwords)[:AT_ONCE]:
                name = f"{self.context.slug}/{device}"
                started = time.perf_counter()
                decision = await decisions.connect(name, self.passwords[device], name)
                took.append((time.perf_counter() - started) * 1000)
                assert decision.outcome == "allowed"
            return took

        return statistics.median(asyncio.run(ask()))


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` took."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def grow(way: Way, counts: Sequence[int], say: Callable[[str], object]) -> dict[int, dict[str, float]]:
    """The figures at each number of devices."""
    results = {}
    for count in counts:
        say(f"{way.context.slug}: {count} devices")
        missing = count - len(way.passwords)
        if isinstance(way, Certificates):
            way.prepare(missing + ONE_BY_ONE)
        took = 0.0
        for start in range(0, missing, AT_ONCE):
            size = min(AT_ONCE, missing - start)
            took += timed(lambda size=size: way.add(size))
        results[count] = {
            ROWS[0]: took / missing,
            ROWS[1]: statistics.median(timed(lambda: way.add(1)) for _ in range(ONE_BY_ONE)),
        }
        if (asked := way.asked()) is not None:
            results[count][ROWS[2]] = asked
    return results


@contextmanager
def dynamic_security() -> Iterator[DynamicSecurity]:
    """A running Mosquitto with its plugin."""
    from insula_platform.demo.ports import choose_port

    password, port = new_password(), choose_port(21883, set())
    with tempfile.TemporaryDirectory(prefix="insula-bench-") as directory:
        command = mosquitto_command(Path(directory), port, {CONTROL: SecretStr(password)})
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        access = DynamicSecurity("127.0.0.1", port, CONTROL, password)
        try:
            while True:
                try:
                    access.logins_of("nobody")
                    break
                except BrokerUnreachable:
                    time.sleep(0.05)
            yield access
        finally:
            process.terminate()
            process.wait(20)


def show(console: Console, engine: str, results: dict[str, dict[int, dict[str, float]]]) -> None:
    """A table: a row a way and figure, a column a number of devices."""
    counts = sorted(next(iter(results.values())))
    table = Table(title=f"{engine}: onboarding, by number of devices there are")
    table.add_column("way")
    table.add_column("")
    for count in counts:
        table.add_column(f"{count:,}".replace(",", " "), justify="right")
    for way, found in results.items():
        for row in ROWS:
            if row in found[counts[0]]:
                table.add_row(way, row, *(f"{found[count][row]:.2f}" for count in counts))
    console.print(table)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="100 and 1 000 devices only: the default")
    parser.add_argument("--long", action="store_true", help="10 000 devices too")
    counts = (100, 1000, 10_000) if parser.parse_args(argv).long else (100, 1000)
    console = Console(width=110)
    with (
        server() as url,
        fresh(url) as deployment,
        dynamic_security() as plugin,
        closing(Databases({"main": deployment.service_url}, pool_size=3)) as databases,
        console.status(deployment.engine) as status,
    ):
        plugins, certificates, callbacks = deployment.create_tenants(
            "bench-plugin", "bench-certificates", "bench-callbacks"
        )
        ways = {
            "http": Callbacks(databases, callbacks, RegistryReader()),
            "x509": Certificates(databases, certificates, RegistryReader()),
            "dynamic-security": Way(databases, plugins, plugin),
        }
        results = {name: grow(way, counts, status.update) for name, way in ways.items()}
    show(console, deployment.engine, results)
    record("onboarding", deployment.engine, results)


if __name__ == "__main__":
    main()
