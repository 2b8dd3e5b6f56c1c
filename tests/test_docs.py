"""The documents tell the truth of the code."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from insula_analytics_ui.settings import UiSettings
from insula_ingest.codecs import Reason
from insula_ingest.settings import IngestSettings
from insula_platform.settings import PlatformSettings
from insula_tenants.settings import TenantsSettings

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "docs" / "configuration.md"

PARTS: dict[str, tuple[type[BaseSettings], type[BaseSettings] | None]] = {
    "All services but the analytics UI": (TenantsSettings, None),
    "API and worker": (PlatformSettings, TenantsSettings),
    "Ingest": (IngestSettings, TenantsSettings),
    "Analytics UI": (UiSettings, None),
}

HEAD = """\
# Configuration

Every setting is an environment variable. A secret may also be in a file: `INSULA_X_FILE` names the file that
holds what `INSULA_X` would. `insula demo` sets all of this by itself.

This page is made from the code (`INSULA_WRITE_DOCS=1 pytest tests/test_docs.py`), and a test compares it.
"""


def written() -> str:
    """The page as the settings classes have it."""
    lines = [HEAD]
    for title, (settings, base) in PARTS.items():
        lines += [f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        inherited = base.model_fields if base else {}
        for name, field in settings.model_fields.items():
            if name not in inherited:
                lines.append(f"| `INSULA_{name.upper()}` | {default(field)} | {field.description} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def default(field: FieldInfo) -> str:
    """The default as one would write it into the environment."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == {}:
        return ""
    assert not isinstance(value, SecretStr), "a secret has a default value"
    return f"`{value}`"


def test_the_page_of_settings_is_what_the_code_takes():
    if os.environ.get("INSULA_WRITE_DOCS"):
        CONFIGURATION.write_text(written())
    assert CONFIGURATION.read_text() == written()


@pytest.mark.parametrize("settings", [settings for settings, _ in PARTS.values()])
def test_every_setting_says_what_it_is(settings: type[BaseSettings]):
    for name, field in settings.model_fields.items():
        assert field.description, name


def test_every_reason_for_a_dead_letter_is_documented():
    page = (ROOT / "docs" / "topics-and-payloads.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == {reason.value for reason in Reason}


def test_links_between_documents_lead_somewhere():
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"
