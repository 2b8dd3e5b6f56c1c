"""Recovery codes: ten ways in for whoever lost their telephone, each good once."""

from __future__ import annotations

import base64
import secrets
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from insula_platform.factors.models import RecoveryCode
from insula_platform.oauth.models import fingerprint

COUNT = 10
_LENGTH = 25
"""Characters of Base32: 125 random bits. From 112 on, NIST SP 800-63B-4 (3.1.2.2) allows a fast hash."""


def renew(core: Session, account_id: UUID) -> list[str]:
    """New codes in place of all that are left, to be shown this once."""
    codes = [_new_code() for _ in range(COUNT)]
    core.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    core.add_all(RecoveryCode(account_id=account_id, code_hash=_hash(code)) for code in codes)
    return codes


def use(core: Session, account_id: UUID, code: str) -> bool:
    """Whether the code is one of the account's; it is used up by this."""
    taken = (
        delete(RecoveryCode)
        .where(RecoveryCode.account_id == account_id, RecoveryCode.code_hash == _hash(code))
        .returning(RecoveryCode.code_hash)
    )
    return core.scalar(taken) is not None


def forget(core: Session, account_id: UUID) -> None:
    """Take the codes away: there is no factor left for them to stand in for."""
    core.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


def is_one(code: str) -> bool:
    """Whether this has the shape of a recovery code."""
    return len(_plain(code)) == _LENGTH


def _new_code() -> str:
    letters = base64.b32encode(secrets.token_bytes(16)).decode()[:_LENGTH].lower()
    return "-".join(letters[start : start + 5] for start in range(0, _LENGTH, 5))


def _plain(code: str) -> str:
    return "".join(letter for letter in code.lower() if letter.isalnum())


def _hash(code: str) -> str:
    return fingerprint(_plain(code))
