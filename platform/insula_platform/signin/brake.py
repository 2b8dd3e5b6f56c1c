"""Both brakes in one: the first of this process, and the one that holds across processes."""

from __future__ import annotations

import structlog

from insula_platform.signin.attempts import Attempt
from insula_platform.signin.visits import Visit

log = structlog.stdlib.get_logger("insula.signin")

BUSY = "Too many people are signing in at this moment. Try again in a few seconds."


def count(visit: Visit, attempt: Attempt) -> int:
    """Count an attempt before it is judged; seconds to wait when it is one too many."""
    wait = visit.platform.throttle.wait(visit.address)
    if not wait:
        with visit.platform.databases.core() as core:
            wait = attempt.count(core)
    if wait:
        log.warning("sign-in throttled", address=visit.address)
    return wait


def refuse(visit: Visit) -> None:
    """Remember a proof that was wrong."""
    visit.platform.throttle.failed(visit.address)
    log.warning("sign-in refused", address=visit.address)


def too_many(wait: int) -> str:
    """What to tell somebody who must wait so many seconds."""
    return f"Too many failed attempts. Try again in {-(-wait // 60)} min."
