"""The brake on guessing: attempts are counted in the registry, so that it holds across processes.

An attempt is counted before it is judged, so that many at once are as many as one after the other. It counts

- for its address: nobody tries the passwords of the whole world from one place;
- for its account together with the address, or together with the browser when its owner has signed in there
  before (a *device cookie*, as OWASP calls it);
- for its account as a whole, unless the browser is known so: NIST SP 800-63B-4, section 3.2.2, allows a
  hundred wrong passwords in a row, wherever they come from.

So a stranger elsewhere can use up the strangers' share of an account, and never that of its owner's browser.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from ipaddress import ip_address
from typing import NamedTuple
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy import text
from sqlalchemy.orm import Session

from insula_platform.oauth.keys import derive_key
from insula_platform.oauth.models import fingerprint, new_secret
from insula_platform.settings import PlatformSettings
from insula_platform.signin import sessions

COOKIE = "device"
_COOKIE_LIFETIME = 180 * 86400


class Counter(NamedTuple):
    """What attempts are counted for, how many there may be, and in which time."""

    name: str
    most: int
    window: timedelta


PER_ADDRESS = Counter("address", 100, timedelta(minutes=15))
PER_PLACE = Counter("place", 10, timedelta(minutes=15))
PER_ACCOUNT = Counter("account", 100, timedelta(days=1))
LETTERS_PER_ACCOUNT = Counter("letters", 3, timedelta(hours=1))
DEVICE_CODES = Counter("device codes", 100, timedelta(minutes=10))
"""By address: whoever asks for the code of a device need not be known. As long as a code lasts."""

# The row of a window that is over begins anew. One statement: parallel attempts wait for each other's row.
_COUNT = text(
    "INSERT INTO signin_attempts AS kept (counted, attempts, ends_at)"
    " VALUES (:counted, 1, now() + :window)"
    " ON CONFLICT (counted) DO UPDATE SET"
    " attempts = CASE WHEN kept.ends_at <= now() THEN 1 ELSE kept.attempts + 1 END,"
    " ends_at = CASE WHEN kept.ends_at <= now() THEN excluded.ends_at ELSE kept.ends_at END"
    " RETURNING attempts, ceil(extract(epoch FROM ends_at - now()))::int AS wait"
)
_FORGIVE = text("DELETE FROM signin_attempts WHERE counted = :counted")
_TAKE_BACK = text("UPDATE signin_attempts SET attempts = greatest(attempts - 1, 0) WHERE counted = :counted")


class Attempt:
    """One try at an account, or at something that belongs to none (`email` is None)."""

    def __init__(self, settings: PlatformSettings, request: Request, email: str | None) -> None:
        """Nothing is counted yet."""
        address = _network(sessions.address_of(request))
        device = _known_device(settings, request, email) if email is not None else None
        self._counters = [(_key(PER_ADDRESS, address), PER_ADDRESS)]
        if email is not None:
            self._counters.append((_key(PER_PLACE, email, device or address), PER_PLACE))
            if device is None:
                self._counters.append((_key(PER_ACCOUNT, email), PER_ACCOUNT))

    def count(self, core: Session) -> int:
        """Count it, in a transaction that ends before the judging; seconds to wait when it is too many."""
        # Always in this order, so that no two attempts wait for each other's rows; and no further than the
        # first that is used up, so that one address cannot fill the table.
        for counted, counter in self._counters:
            row = core.execute(_COUNT, {"counted": counted, "window": counter.window}).one()
            if row.attempts > counter.most:
                return int(row.wait)
        return 0

    def succeeded(self, core: Session) -> None:
        """Forget the failures of the account: its owner is here. The address only gets this try back."""
        address, *others = [counted for counted, _ in self._counters]
        core.execute(_TAKE_BACK, {"counted": address})
        for counted in others:
            core.execute(_FORGIVE, {"counted": counted})

    def take_back(self, core: Session) -> None:
        """It was no failure, and says nothing of those before it."""
        for counted, _ in self._counters:
            core.execute(_TAKE_BACK, {"counted": counted})


def may_write(core: Session, email: str) -> bool:
    """Whether another letter may go to this address; counts it. Nobody's mailbox is to be flooded."""
    counter = LETTERS_PER_ACCOUNT
    row = core.execute(_COUNT, {"counted": _key(counter, email), "window": counter.window}).one()
    return bool(row.attempts <= counter.most)


def may_have_device_code(core: Session, address: str) -> bool:
    """Whether a device at this address may have another code; counts it."""
    counter = DEVICE_CODES
    row = core.execute(_COUNT, {"counted": _key(counter, _network(address)), "window": counter.window}).one()
    return bool(row.attempts <= counter.most)


def remember_device(
    settings: PlatformSettings, request: Request, response: Response, account_id: UUID, email: str
) -> None:
    """Let this browser be known as one in which the account's owner has signed in."""
    if _known_device(settings, request, email) is None:
        device = f"{account_id}.{new_secret()}"
        value = f"{device}.{_seal(settings, device, email)}"
        sessions.set_cookie(response, settings, COOKIE, value, _COOKIE_LIFETIME)


def _known_device(settings: PlatformSettings, request: Request, email: str) -> str | None:
    """The browser's own id, when it was given one at a sign-in with this address."""
    cookie = request.cookies.get(sessions.cookie_name(settings, COOKIE), "")
    device, _, seal = cookie.rpartition(".")
    if not device or not cookie.isascii():
        return None
    return device if hmac.compare_digest(seal, _seal(settings, device, email)) else None


def _seal(settings: PlatformSettings, device: str, email: str) -> str:
    key = derive_key(settings.secret_key, "devices")
    return hmac.digest(key, f"{device} {email}".encode(), "sha256").hex()


def _network(address: str) -> str:
    """The address; of IPv6 the /64, which one subscriber has whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return parsed.exploded[:19] if parsed.version == 6 else address


def _key(counter: Counter, *of: str) -> str:
    # Hashed, so that the table is no list of addresses.
    return fingerprint("\n".join((counter.name, *of)))
