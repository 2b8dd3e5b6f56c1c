"""The accessibility checks of axe in a page of Chromium."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.servers.programs import unavailable

_AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def _source() -> str:
    if not _AXE.exists():
        unavailable("axe is not installed: run make axe")
    return _AXE.read_text()


def violations(page: Page, *, colours_alone: bool = False) -> list[str]:
    """What axe finds wrong with the page as it is shown now: rule, and the elements it is about."""
    only = (
        {"type": "rule", "values": ["color-contrast"]} if colours_alone else {"type": "tag", "values": _RULES}
    )
    # By the debugger and not as a script of the page, whose policy rightly refuses it.
    page.evaluate(_source())
    found: dict[str, Any] = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations']})", only
    )
    return [
        f"{broken['id']}: {', '.join(str(node['target']) for node in broken['nodes'])}"
        for broken in found["violations"]
    ]
