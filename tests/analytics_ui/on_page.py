"""What a test reads from a page of the UI: cards of numbers, tables and charts."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.analytics_ui.ui_process import SOON

CHART = "[data-testid=stVegaLiteChart] svg"


def number(page: Page, label: str, value: str, note: str = "", *, timeout: float = SOON) -> None:
    """A card of this label has this value, and this beneath it."""
    card = page.locator(".in-value", has=page.get_by_text(label, exact=True))
    expect(card.locator(".in-number")).to_have_text(
        re.compile(rf"^\s*{re.escape(value)}\s*$"), timeout=timeout
    )
    expect(card).to_contain_text(note)


def cells(page: Page, number: int, *, timeout: float = SOON) -> list[list[str]]:
    """What is read aloud from a page's table of this number, from 0: the grid itself is drawn on a canvas."""
    table = page.get_by_test_id("stDataFrame").nth(number)
    table.scroll_into_view_if_needed(timeout=timeout)  # a grid is drawn once it is looked at
    expect(table.locator("td").first).to_be_attached(timeout=timeout)
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
