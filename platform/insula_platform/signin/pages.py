"""The pages people see of the platform: plain HTML, one stylesheet, few lines of script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from insula_platform.settings import PlatformSettings

STATIC = Path(__file__).with_name("static")

_templates = Environment(
    loader=PackageLoader("insula_platform.signin"), autoescape=True, undefined=StrictUndefined
)


def page(
    settings: PlatformSettings, template: str, *, status: int = 200, has_script: bool = False, **values: Any
) -> HTMLResponse:
    """One page. It may load our stylesheet, and its forms may end at the platform or the analytics UI.

    With `has_script` it may run the scripts that the platform serves, and these may ask the platform. Every
    template finds `ui_url`, where the analytics UI is.
    """
    # Chromium holds the whole chain of redirects after a form against form-action, so the UI must be in it.
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {settings.ui_url}"
    )
    if has_script:
        policy += "; script-src 'self'; connect-src 'self'"
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",  # for browsers that know no frame-ancestors
    }
    return HTMLResponse(
        _templates.get_template(template).render(values, ui_url=settings.ui_url), status, headers
    )


def error_page(
    settings: PlatformSettings, title: str, detail: str, advice: str, *, status: int
) -> HTMLResponse:
    """What happened, to what, and what to do."""
    return page(settings, "error.html", status=status, title=title, detail=detail, advice=advice)
