"""Every page that people see: usable by everybody (axe), and nothing on it but what is ours (CSP)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import text

from insula_platform.signin.pages import STATIC
from tests.platform.conftest import Live
from tests.platform.pages import PAGES, Visitor
from tests.platform.people import forgive
from tests.servers.axe import violations
from tests.servers.programs import chromium

LISTEN = """
addEventListener("securitypolicyviolation", event =>
  reportViolation(`${event.violatedDirective}: ${event.blockedURI} in ${event.documentURI}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@contextmanager
def visitor(browser: Browser, live: Live) -> Iterator[tuple[Visitor, list[str]]]:
    """Somebody new, and the violations of policies that their browser meets."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    blocked: list[str] = []
    context.expose_binding("reportViolation", lambda _source, told: blocked.append(told))
    context.add_init_script(LISTEN)
    yield Visitor(live, context, context.new_page()), blocked
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_usable_by_everybody_and_keeps_to_its_policy(
    browser: Browser, live_by_name: Live, name: str
):
    heading, show = PAGES[name]
    forgive(live_by_name)
    with live_by_name.deployment.databases.core() as core:
        core.execute(text("DELETE FROM identity_providers"))  # one page needs it, others do not
    with visitor(browser, live_by_name) as (somebody, blocked):
        page = somebody.page
        answers = []
        page.on(
            "response",
            lambda response: answers.append(response) if response.frame == page.main_frame else None,
        )
        show(somebody)
        page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()
        policy = next(
            answer.headers["content-security-policy"]
            for answer in reversed(answers)
            if answer.request.is_navigation_request() and answer.status != 303
        )
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert violations(page, colours_alone=scheme == "dark") == [], scheme
            if directory := os.environ.get("INSULA_PAGES"):  # to be looked at
                page.screenshot(path=Path(directory) / f"{name}-{scheme}.png", full_page=True)
        page.set_viewport_size({"width": 320, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, (
            "WCAG 1.4.10: no scrolling sideways"
        )
    assert blocked == []
    assert "unsafe" not in policy
    for directive in policy.split("; "):
        source = directive.split()[1:]
        allowed = {"'self'", "'none'"} | (
            {live_by_name.settings.ui_url} if "form-action" in directive else set()
        )
        assert set(source) <= allowed, directive


def test_axe_and_the_listener_see_what_is_wrong(browser: Browser, live_by_name: Live):
    """Without this, a check that had gone blind would pass every page."""
    with visitor(browser, live_by_name) as (somebody, blocked):
        somebody.open("/signin")
        somebody.page.evaluate("document.querySelector('label[for=email]').remove()")
        somebody.page.evaluate("document.body.setAttribute('style', 'color: #eee')")
        somebody.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
        )
        found = violations(somebody.page)
        somebody.page.wait_for_function("true")
    assert any(one.startswith("label:") for one in found)
    assert [one.split(":")[0] for one in blocked] == ["style-src-attr", "script-src-elem"]


def test_every_template_is_on_a_page_of_the_list():
    """A template whose heading no page of the list awaits is one that nobody has looked at."""
    awaited = {heading for heading, _ in PAGES.values()}
    unseen = set()
    for template in STATIC.with_name("templates").glob("*.html"):
        source = template.read_text()
        headings = set(filter(None, (part.split("</h1>")[0] for part in source.split("<h1>")[1:])))
        headings |= {part.split("{%")[0] for part in source.split("{% block title %}")[1:]}
        if not headings & awaited:
            unseen.add(template.name)
    assert unseen == {
        "account_base.html",  # what others extend
        "base.html",
        "consent.html",  # its heading has a value in it: "Let Floor plan act for you?"
        "device_consent.html",  # so have these
        "device_done.html",
        "error.html",
        "join.html",
        "join_signed_in.html",
        "leaving.html",  # gone as soon as it is there; `test_consents.py` sees it pass
        "other_address.html",
    }
