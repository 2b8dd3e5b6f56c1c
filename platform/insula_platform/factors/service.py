"""Which second factors an account has."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from insula_platform.factors.models import Passkey, RecoveryCode, TotpFactor


@dataclass(frozen=True, slots=True)
class Factors:
    """The second factors of an account."""

    totp: TotpFactor | None
    """The app, once it is confirmed."""
    passkeys: list[Passkey]
    recovery_codes: int
    """How many are left."""

    @property
    def is_protected(self) -> bool:
        """Whether a password alone is not enough. Recovery codes stand in for a factor; they are none."""
        return self.totp is not None or bool(self.passkeys)


def factors_of(core: Session, account_id: UUID) -> Factors:
    """What the account has."""
    passkeys = (
        select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.created_at, Passkey.id)
    )
    totp = select(TotpFactor).where(TotpFactor.account_id == account_id, TotpFactor.confirmed_at.is_not(None))
    codes = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.account_id == account_id)
    return Factors(core.scalar(totp), list(core.scalars(passkeys)), core.scalar(codes) or 0)


def forget_factors(core: Session, account_id: UUID) -> None:
    """Take all of them away, recovery codes too."""
    for kind in (TotpFactor, Passkey, RecoveryCode):
        core.execute(delete(kind).where(kind.account_id == account_id))
