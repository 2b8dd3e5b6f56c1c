"""Sign-in on a device without a browser: the device authorization grant (RFC 8628).

The device shows a short code, its person types it into a browser (`insula_platform.oauth.device_pages`), and
the device asks at the token endpoint until they have decided.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2 import rfc8628
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidScopeError, OAuth2Error, UnauthorizedClientError
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from insula_platform.oauth.families import end_stolen
from insula_platform.oauth.grants import ResourceOwner, resource_owner
from insula_platform.oauth.keys import derive_key
from insula_platform.oauth.models import (
    CLIENT_AUTH_METHODS,
    Client,
    DeviceCode,
    Grant,
    fingerprint,
    new_secret,
)
from insula_platform.oauth.requests import ProviderRequest
from insula_platform.people import Member
from insula_platform.signin.attempts import may_have_device_code
from insula_platform.signin.models import SigninSession

DEVICE_GRANT: str = rfc8628.DEVICE_CODE_GRANT_TYPE

LIFETIME = 600
"""Seconds in which the person must have decided."""

_LONGEST_SLUG = 63
"""More is no tenant's, and a row for whoever asks is to be small."""

_SLOWER_BY = 5
"""Seconds, as section 3.5 has it."""


class TooManyPending(OAuth2Error):  # type: ignore[misc] # Authlib ships no types
    """The address asks for one code after the other."""

    error = "temporarily_unavailable"
    description = "Too many codes were asked for from this address. Try again in a few minutes."
    status_code = 429


class DeviceAuthorization(rfc8628.DeviceAuthorizationEndpoint):  # type: ignore[misc] # Authlib ships no types
    """Where a device begins (section 3.1). Besides the scope it may name the tenant it wants."""

    CLIENT_AUTH_METHODS = CLIENT_AUTH_METHODS
    EXPIRES_IN = LIFETIME

    def create_endpoint_response(self, request: ProviderRequest) -> tuple[int, dict[str, Any], Any]:
        """The codes, and a row for them: 35 random bits for the person, 256 for the device."""
        answer: tuple[int, dict[str, Any], Any] = super().create_endpoint_response(request)
        row = self.server.core.get_one(DeviceCode, fingerprint(answer[1]["device_code"]))
        tenant = request.payload.data.get("tenant", "")
        row.tenant = tenant if 0 < len(tenant) <= _LONGEST_SLUG else None
        row.address = request.address
        return answer

    def authenticate_client(self, request: ProviderRequest) -> Client:
        """The client, if it may use this grant, and its address asks not too often."""
        client: Client = super().authenticate_client(request)
        if not client.check_grant_type(DEVICE_GRANT):
            raise UnauthorizedClientError
        if not may_have_device_code(self.server.core, request.address):
            raise TooManyPending
        return client

    def generate_device_code(self) -> str:
        return new_secret()

    def get_verification_uri(self) -> str:
        return f"{self.server.platform.settings.public_url}/device"

    def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
        core: Session = self.server.core
        allowed = core.get_one(Client, client_id).get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError
        core.add(
            DeviceCode(
                device_code_hash=fingerprint(data["device_code"]),
                user_code_hash=_user_code_hash(self.server.platform.settings.secret_key, data["user_code"]),
                client_id=client_id,
                scope=allowed,
                poll_interval=data["interval"],
                expires_at=datetime.now(UTC) + timedelta(seconds=data["expires_in"]),
            )
        )
        core.flush()


class DeviceGrant(rfc8628.DeviceCodeGrant):  # type: ignore[misc] # Authlib ships no types
    """`urn:ietf:params:oauth:grant-type:device_code`: tokens for the device, once the person has decided."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS

    def query_device_credential(self, device_code: str) -> DeviceCode:
        """The row, locked: a device that asks twice at once is served once."""
        locked = select(DeviceCode).where(DeviceCode.device_code_hash == fingerprint(device_code))
        found: DeviceCode | None = self.server.core.scalar(locked.with_for_update())
        if found is None:
            raise InvalidGrantError("Invalid 'device_code' in request.")
        if found.redeemed_at is not None:
            if found.grant is not None:
                self.server.core.refresh(found.grant, with_for_update=True)
                end_stolen(self.server.core, found.grant, "device code")
            raise InvalidGrantError("Invalid 'device_code' in request.")
        return found

    def query_user_grant(self, user_code: str) -> tuple[ResourceOwner | None, bool] | None:
        """What the person has decided; `user_code` is what the row has of it."""
        core: Session = self.server.core
        found = core.scalars(select(DeviceCode).where(DeviceCode.user_code_hash == user_code)).one()
        if found.denied_at is not None:
            return None, False
        if found.grant is None:
            return None
        core.refresh(found.grant, with_for_update=True)
        if found.grant.revoked_at is not None:
            raise InvalidGrantError("Invalid 'device_code' in request.")
        return resource_owner(core, found.grant), True

    def should_slow_down(self, credential: DeviceCode) -> bool:
        """Whether the device asks more often than it was told to; from then on it must wait longer."""
        now, last = datetime.now(UTC), credential.polled_at
        credential.polled_at = now
        if last is None or now - last >= timedelta(seconds=credential.poll_interval):
            return False
        credential.poll_interval += _SLOWER_BY
        return True

    def create_token_response(self) -> Any:
        """Tokens, once: the row stays, so that a second use is noticed."""
        answer = super().create_token_response()
        self.request.credential.redeemed_at = datetime.now(UTC)
        return answer


def find_pending(core: Session, secret_key: SecretStr, user_code: str) -> DeviceCode | None:
    """What waits for a decision under this code, however it was typed. Locked until the transaction ends."""
    return core.scalar(
        select(DeviceCode)
        .where(
            DeviceCode.user_code_hash == _user_code_hash(secret_key, user_code),
            DeviceCode.expires_at > datetime.now(UTC),
            DeviceCode.grant_id.is_(None),
            DeviceCode.denied_at.is_(None),
        )
        .with_for_update()
    )


def allow(core: Session, asked: DeviceCode, member: Member, signin: SigninSession, scope: str) -> Grant:
    """Let the device act for the person in this tenant, within `scope`: what they were shown."""
    grant = Grant(
        client_id=asked.client_id,
        account_id=member.account.id,
        tenant_id=member.tenant.id,
        scope=scope,
        auth_time=signin.auth_time,
        amr=signin.amr,
        signin_id=signin.id,
    )
    core.add(grant)
    asked.grant = grant
    return grant


def deny(asked: DeviceCode) -> None:
    """Tell the device that the person does not want it."""
    asked.denied_at = datetime.now(UTC)


def shown(user_code: str) -> str:
    """A code as the device shows it, whatever a person made of it."""
    letters = _letters(user_code)
    return f"{letters[:4]}-{letters[4:]}" if len(letters) == 8 else letters


def _letters(user_code: str) -> str:
    """Section 6.1: neither case nor punctuation matter."""
    return "".join(letter for letter in user_code.upper() if "A" <= letter <= "Z")[:20]


def _user_code_hash(secret_key: SecretStr, user_code: str) -> str:
    # Keyed: all codes could be tried against a plain hash of something so short.
    return hmac.digest(derive_key(secret_key, "user codes"), _letters(user_code).encode(), "sha256").hex()
