"""The link that an invited person opens."""

from __future__ import annotations


def invitation_link(public_url: str, token: str) -> str:
    """The address of the page, with the token behind the `#`.

    Browsers keep that part to themselves: no server's or proxy's log has it, and no `Referer`.
    """
    return f"{public_url}/invitation#{token}"
