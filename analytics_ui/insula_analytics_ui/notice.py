"""The few pages this server shows without Streamlit: what happened, and the one thing to do."""

from __future__ import annotations

from html import escape
from string import Template

from starlette.responses import HTMLResponse

from insula_analytics_ui.words import language

_PAGE = Template("""<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$what · Insula</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #59636e; --paper: #fff; --line: #d5dae0;
  --accent: #0b6bb8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --quiet: #9aa4b0; --paper: #14171b; --line: #2d333b; --accent: #62b0ee; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 28rem; margin: 20vh auto 0; padding: 0 24px; }
h1 { font-size: 20px; font-weight: 600; margin: 0 0 8px; }
p { color: var(--quiet); margin: 0 0 24px; }
a { color: var(--accent); border: 1px solid var(--line); border-radius: 6px; padding: 8px 16px;
  text-decoration: none; }
a:hover, a:focus-visible { border-color: var(--accent); }
</style>
</head>
<body><main><h1>$what</h1><p>$todo</p><a href="$url">$action</a></main></body>
</html>
""")


def notice(status: int, *, what: str, todo: str, action: str, url: str) -> HTMLResponse:
    """A page that says `what` happened and what `todo`, with one link."""
    texts = {"what": what, "todo": todo, "action": action, "url": url}
    body = _PAGE.substitute({name: escape(text) for name, text in texts.items()}, language=language())
    return HTMLResponse(body, status_code=status, headers={"Cache-Control": "no-store"})
