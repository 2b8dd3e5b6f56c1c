"""What a running platform holds for single sign-on."""

from __future__ import annotations

from dataclasses import dataclass

from insula_platform.federation.dns import DnsTxtRecords, TxtRecords
from insula_platform.federation.outbound import Outbound
from insula_platform.federation.provider import Providers
from insula_platform.settings import PlatformSettings


@dataclass(frozen=True, slots=True)
class Federation:
    """Tenants' providers, and who proves domains."""

    providers: Providers
    texts: TxtRecords

    def close(self) -> None:
        """End what is open."""
        self.providers.outbound.close()


def federation(settings: PlatformSettings) -> Federation:
    """By the settings; nothing is asked yet."""
    return Federation(Providers(Outbound(settings)), DnsTxtRecords(settings.dns_server))
