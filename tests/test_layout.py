"""Traps of the layout: a folder named like a module of the standard library."""

from __future__ import annotations

import platform
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "platform": "insula_platform",
    "tenants": "insula_tenants",
    "ingest": "insula_ingest",
    "analytics_ui": "insula_analytics_ui",
}


@pytest.mark.parametrize(("folder", "package"), PACKAGES.items())
def test_each_top_level_folder_holds_exactly_one_package(folder: str, package: str):
    inside = {path.name for path in (ROOT / folder).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert inside == {package}
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_librarys_platform_is_not_shadowed():
    assert Path(platform.__file__).is_relative_to(sysconfig.get_path("stdlib"))
    assert (ROOT / "tests" / "__init__.py").exists()
