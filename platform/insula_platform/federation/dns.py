"""TXT records, which only the holder of a domain can write."""

from __future__ import annotations

from typing import Protocol

import dns.exception
import dns.resolver

from insula_tenants.errors import InsulaError

SECONDS = 5.0
"""For all servers together."""


class DnsAway(InsulaError):
    """The domain name system does not answer."""

    status = 503
    type = "dns-away"


class TxtRecords(Protocol):
    """Looks TXT records up."""

    def __call__(self, name: str) -> list[str]:
        """The texts at `name`, none where there is no such name; `DnsAway` when nobody answers."""


class DnsTxtRecords:
    """The real ones, by the system's servers or by one that is named as `address` or `address#port`."""

    def __init__(self, server: str | None) -> None:
        """Nothing is asked yet."""
        self._server = server

    def __call__(self, name: str) -> list[str]:
        """See `TxtRecords`."""
        try:
            answer = self._resolver().resolve(f"{name}.", "TXT", lifetime=SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise DnsAway(f"the TXT records of {name} cannot be read: {type(error).__name__}") from None
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]

    def _resolver(self) -> dns.resolver.Resolver:
        if self._server is None:
            return dns.resolver.Resolver()
        address, _, port = self._server.partition("#")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [address]
        resolver.port = int(port or 53)
        return resolver
