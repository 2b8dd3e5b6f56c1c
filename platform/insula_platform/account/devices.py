"""A browser in words that its owner knows it by."""

from __future__ import annotations

from functools import lru_cache

import ua_parser


@lru_cache(maxsize=1024)
def device_name(user_agent: str) -> str:
    """`Firefox on Linux`, as far as its user agent tells."""
    parsed = ua_parser.parse(user_agent)
    browser = parsed.user_agent.family if parsed.user_agent else "Unknown browser"
    system = parsed.os.family if parsed.os else None
    return f"{browser} on {system}" if system else browser
