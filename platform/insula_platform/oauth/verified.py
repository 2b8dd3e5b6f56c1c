"""Access tokens whose signature was verified a moment ago.

An RSA signature takes longer to verify than all else that a request's token needs. The same token comes again
and again, so what it says is kept, under the hash of the token, until it expires. Nothing else is remembered:
whether it was called back is asked of the registry at each request.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from insula_platform.oauth.keys import SigningKeys
from insula_platform.oauth.tokens import AccessToken

MOST = 10_000
"""Tokens that are kept, some 6 MB: the one unused for longest goes first."""


class VerifiedTokens:
    """What valid tokens say, by their SHA-256. Used in the event loop alone."""

    def __init__(self, most: int = MOST) -> None:
        """Nothing is verified yet."""
        self._most = most
        self._found: OrderedDict[bytes, AccessToken] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def remember(self, token: str, says: AccessToken) -> None:
        """Keep what a token says that was verified just now."""
        self._found[_digest(token)] = says
        if len(self._found) > self._most:
            self._found.popitem(last=False)

    def recall(self, token: str, keys: SigningKeys) -> AccessToken | None:
        """What the token says; None when it must be verified: unknown, expired, or its key retired."""
        digest = _digest(token)
        says = self._found.get(digest)
        if says is None:
            return None
        if says.expires_at <= time.time() or keys.known(says.key_id) is None:
            del self._found[digest]
            return None
        self._found.move_to_end(digest)
        return says


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
