"""Erasure receipts: signed with the platform's key, so that anybody can check them by its JWKS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from insula_platform.oauth.keys import SigningKeys
from insula_platform.oauth.tokens import sign
from insula_platform.settings import PlatformSettings
from insula_tenants.database import Databases

RECEIPT_TYPE = "erasure-receipt+jwt"


def receipt_signer(settings: PlatformSettings, databases: Databases) -> Callable[[dict[str, Any]], str]:
    """What `erase_tenant` signs its receipts with."""
    keys = SigningKeys(databases, settings.secret_key)

    def signed(claims: dict[str, Any]) -> str:
        return sign(
            keys.signing_key(), {"iss": settings.public_url, "iat": int(time.time()), **claims}, RECEIPT_TYPE
        )

    return signed
