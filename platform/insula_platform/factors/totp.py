"""Codes of an app: RFC 6238 by pyotp, the secret sealed at rest, no code good twice."""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from insula_platform.factors.models import TotpFactor
from insula_platform.oauth.keys import derive_key
from insula_platform.people import Account
from insula_tenants.errors import ConfigurationError

STEP = 30
"""Seconds of a time step."""

_DRIFT = 1
"""Steps by which a telephone's clock may be off, to either side (RFC 6238, section 5.2)."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an app must be told, once."""

    secret: str
    """In Base32, as people type it."""
    uri: str
    """`otpauth://…`, as a QR code holds it."""


def begin(core: Session, secret_key: SecretStr, account: Account) -> Enrolment:
    """A new secret for the account, of no effect until `confirm`. One that was never confirmed is replaced.

    An app that is confirmed stays what it is: the caller must not ask for another.
    """
    secret = pyotp.random_base32()
    core.execute(
        delete(TotpFactor).where(TotpFactor.account_id == account.id, TotpFactor.confirmed_at.is_(None))
    )
    sealed = _seal(secret_key).encrypt(secret.encode())
    core.add(TotpFactor(account_id=account.id, secret_sealed=sealed))
    return _enrolment(secret, account)


def begun(core: Session, secret_key: SecretStr, account: Account) -> Enrolment | None:
    """The enrolment that waits for its first code, to be shown again; None when there is none."""
    waiting = core.scalar(
        select(TotpFactor).where(TotpFactor.account_id == account.id, TotpFactor.confirmed_at.is_(None))
    )
    return _enrolment(_open(secret_key, waiting), account) if waiting is not None else None


def confirm(core: Session, secret_key: SecretStr, account_id: UUID, code: str) -> bool:
    """Whether the first code is right; from then on the app is a factor."""
    factor = _locked(core, account_id)
    if factor is None or factor.confirmed_at is not None or not _take(factor, secret_key, code):
        return False
    factor.confirmed_at = datetime.now(UTC)
    return True


def check(core: Session, secret_key: SecretStr, account_id: UUID, code: str) -> bool:
    """Whether the code is that of the account's app, and was not used before."""
    factor = _locked(core, account_id)
    return factor is not None and factor.confirmed_at is not None and _take(factor, secret_key, code)


def remove(core: Session, account_id: UUID) -> bool:
    """Forget the app; whether there was one."""
    gone = delete(TotpFactor).where(TotpFactor.account_id == account_id).returning(TotpFactor.confirmed_at)
    return core.scalar(gone) is not None


def _locked(core: Session, account_id: UUID) -> TotpFactor | None:
    """The factor, locked: of two requests with the same code, one finds it used."""
    return core.scalar(select(TotpFactor).where(TotpFactor.account_id == account_id).with_for_update())


def _take(factor: TotpFactor, secret_key: SecretStr, code: str) -> bool:
    code = "".join(code.split())
    if not (code.isascii() and code.isdigit()):
        return False
    app = pyotp.TOTP(_open(secret_key, factor), interval=STEP)
    now = int(time.time()) // STEP
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if step > factor.last_step and hmac.compare_digest(app.generate_otp(step), code):
            factor.last_step = step
            return True
    return False


def _enrolment(secret: str, account: Account) -> Enrolment:
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name="Insula"))


def _open(secret_key: SecretStr, factor: TotpFactor) -> str:
    try:
        return _seal(secret_key).decrypt(factor.secret_sealed).decode()
    except InvalidToken:
        raise ConfigurationError(
            "second factors were sealed under another INSULA_SECRET_KEY: set the one of that time"
        ) from None


def _seal(secret_key: SecretStr) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive_key(secret_key, "totp")))
