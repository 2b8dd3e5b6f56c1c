"""Try a provider out: everything that can be seen without a person, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from insula_platform.federation.outbound import ProviderUnreachable
from insula_platform.federation.provider import Providers, Registration

Step = TypeVar("Step")


class Finding(NamedTuple):
    """One thing that was looked at."""

    check: str
    ok: bool
    detail: str


def diagnose(providers: Providers, registration: Registration, verified: frozenset[str]) -> list[Finding]:
    """What was found, the first failure last: what would come after it needs it."""
    findings: list[Finding] = []

    def look(check: str, step: Callable[[], Step], good: Callable[[Step], str]) -> Step | None:
        try:
            found = step()
        except ProviderUnreachable as error:
            findings.append(Finding(check, ok=False, detail=error.detail))
            return None
        findings.append(Finding(check, ok=True, detail=good(found)))
        return found

    issuer = registration.issuer
    metadata = look(
        "discovery", lambda: providers.metadata(issuer, fresh=True), lambda it: f"{it.issuer} is there"
    )
    if metadata is not None:
        look(
            "keys",
            lambda: providers.keys(issuer, max_age=0),
            lambda keys: f"{len(keys.keys)} public keys for signatures",
        )
        look("client", lambda: _try_client(providers, registration), lambda said: said)
        findings.append(
            Finding(
                "issuer in answers",
                ok=True,
                detail="the provider names itself (RFC 9207)"
                if metadata.names_itself_in_callbacks
                else "the provider does not name itself; the address of each tenant's answers is its own",
            )
        )
    findings.append(
        Finding(
            "domains",
            ok=bool(verified),
            detail=", ".join(sorted(verified))
            or "no domain is verified: nobody can sign in for the first time",
        )
    )
    return findings


def _try_client(providers: Providers, registration: Registration) -> str:
    """Redeem a code that is none: a provider that knows us complains of the code, not of us."""
    metadata = providers.metadata(registration.issuer)
    status, answer = providers.redeem(metadata, registration, "not-a-code", "v" * 64)
    error = answer.get("error")
    if error in {"invalid_client", "unauthorized_client"} or status == 401:
        raise ProviderUnreachable("the provider does not take the client id with this secret")
    if error == "redirect_uri_mismatch":
        raise ProviderUnreachable(f"register {registration.redirect_uri} at the provider")
    return "the provider knows the client" if error == "invalid_grant" else f"the provider says {error!r:.60}"
