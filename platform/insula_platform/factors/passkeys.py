"""Passkeys: Web Authentication by py_webauthn. The device always verifies its person: PIN, finger or face.

So a passkey is two factors by itself, and opens an account without a password.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from insula_platform.factors.models import Passkey
from insula_platform.oauth.models import fingerprint
from insula_platform.people import Account
from insula_platform.settings import PlatformSettings
from insula_tenants.errors import InvalidInput

LIFETIME = 300
"""Seconds a person has for the dialog of their browser."""

MAX_PASSKEYS = 20
_MAX_NAME = 60
_TRANSPORTS = frozenset(transport.value for transport in AuthenticatorTransport)

_ASK = text(
    "INSERT INTO passkey_challenges (browser_hash, challenge, expires_at)"
    " VALUES (:browser, :challenge, now() + make_interval(secs => :lifetime))"
    " ON CONFLICT (browser_hash)"
    " DO UPDATE SET challenge = excluded.challenge, expires_at = excluded.expires_at"
)
_SWEEP = text(
    "DELETE FROM passkey_challenges WHERE browser_hash IN (SELECT browser_hash FROM passkey_challenges"
    " WHERE expires_at <= now() LIMIT 10 FOR UPDATE SKIP LOCKED)"
)
_TAKE = text(
    "DELETE FROM passkey_challenges WHERE browser_hash = :browser AND expires_at > now() RETURNING challenge"
)

log = structlog.stdlib.get_logger("insula.passkeys")


class UnusablePasskey(InvalidInput):
    """The answer of the passkey does not hold."""


def relying_party(settings: PlatformSettings) -> str | None:
    """The domain that passkeys are bound to. None where there is none: they cannot be bound to an address."""
    host = urlsplit(settings.public_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host
    return None


def ask_to_register(core: Session, settings: PlatformSettings, browser: str, account: Account) -> str:
    """Options for `navigator.credentials.create()`, as JSON; `browser` is the secret of its form cookie."""
    existing = core.scalars(select(Passkey).where(Passkey.account_id == account.id)).all()
    if len(existing) >= MAX_PASSKEYS:
        raise InvalidInput("passkey", f"there may be {MAX_PASSKEYS} passkeys: remove one first")
    options = generate_registration_options(
        rp_id=relying_party(settings) or "",
        rp_name="Insula",
        user_id=account.id.bytes,
        user_name=account.email,
        user_display_name=account.name,
        timeout=LIFETIME * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in existing],
    )
    _keep(core, browser, options.challenge)
    return options_to_json(options)


def take_challenge(core: Session, browser: str) -> bytes:
    """What this browser was to have signed, used up by this. Raises `UnusablePasskey` when there is none.

    In a transaction of its own: an answer that is refused must have used it up too.
    """
    challenge = core.scalar(_TAKE, {"browser": fingerprint(browser)})
    if challenge is None:
        raise UnusablePasskey("passkey", "the question to the passkey had expired: try again")
    return bytes(challenge)


def register(
    core: Session, settings: PlatformSettings, challenge: bytes, account: Account, answer: str, name: str
) -> Passkey:
    """A new passkey of the account, by the browser's answer. Raises `UnusablePasskey`."""
    try:
        verified = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings) or "",
            expected_origin=settings.public_url,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError) as error:
        raise _unusable(error) from None
    known = core.scalar(select(Passkey.id).where(Passkey.credential_id == verified.credential_id))
    if known is not None:
        raise UnusablePasskey("passkey", "this passkey is known already")
    passkey = Passkey(
        account_id=account.id,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=_transports(answer),
        is_synced=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        name=name.strip()[:_MAX_NAME] or "Passkey",
    )
    core.add(passkey)
    core.flush()
    return passkey


def ask_to_sign_in(core: Session, settings: PlatformSettings, browser: str, account_id: UUID | None) -> str:
    """Options for `navigator.credentials.get()`, as JSON: for this account, or for any."""
    passkeys = (
        core.scalars(select(Passkey).where(Passkey.account_id == account_id))
        if account_id is not None
        else ()
    )
    options = generate_authentication_options(
        rp_id=relying_party(settings) or "",
        timeout=LIFETIME * 1000,
        allow_credentials=[_descriptor(passkey) for passkey in passkeys],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    _keep(core, browser, options.challenge)
    return options_to_json(options)


def sign_in(
    core: Session, settings: PlatformSettings, challenge: bytes, answer: str, account_id: UUID | None = None
) -> Account:
    """Whose passkey has answered. Raises `UnusablePasskey`, also when it is not that of `account_id`.

    The passkey's row is locked, so that an answer and its copy are judged one after the other.
    """
    credential_id, user_handle = _identity(answer)
    passkey = core.scalar(select(Passkey).where(Passkey.credential_id == credential_id).with_for_update())
    if (
        passkey is None
        or account_id not in {None, passkey.account_id}
        or user_handle not in {None, passkey.account_id.bytes}
    ):
        raise UnusablePasskey("passkey", "this passkey belongs to no account here, or to another one")
    try:
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings) or "",
            expected_origin=settings.public_url,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError) as error:
        # A count that does not grow may be a copy of the authenticator's key (Web Authentication, 7.2).
        log.warning("a passkey was refused", account=str(passkey.account_id), reason=str(error))
        raise _unusable(error) from None
    passkey.sign_count = verified.new_sign_count
    passkey.last_used_at = datetime.now(UTC)
    account = core.get(Account, passkey.account_id)
    assert account is not None  # noqa: S101 - the foreign key
    return account


def _keep(core: Session, browser: str, challenge: bytes) -> None:
    # Anybody may ask: what nobody has answered goes as more comes, so that the table does not grow by it.
    core.execute(_SWEEP)
    core.execute(_ASK, {"browser": fingerprint(browser), "challenge": challenge, "lifetime": LIFETIME})


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    transports = [AuthenticatorTransport(name) for name in passkey.transports if name in _TRANSPORTS]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)


def _parsed(answer: str) -> dict[str, Any]:
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise UnusablePasskey("passkey", "the browser's answer is not that of a passkey")
    return parsed


def _identity(answer: str) -> tuple[bytes, bytes | None]:
    """Which passkey has answered, and for whom, as the browser says: both are checked."""
    parsed = _parsed(answer)
    response = parsed.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    try:
        return base64url_to_bytes(str(parsed.get("id", ""))), base64url_to_bytes(
            str(handle)
        ) if handle else None
    except ValueError:
        return b"", None


def _transports(answer: str) -> list[str]:
    """How the authenticator can be reached: a hint that the browser is given back, checked only to be one."""
    response = _parsed(answer).get("response")
    named = response.get("transports") if isinstance(response, dict) else None
    return [name for name in named if name in _TRANSPORTS] if isinstance(named, list) else []


def _unusable(error: Exception) -> UnusablePasskey:
    return UnusablePasskey("passkey", f"the passkey's answer does not hold ({error}): try again")
