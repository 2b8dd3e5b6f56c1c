"""`make lint` runs this: the lock files satisfy pyproject.toml, and agree with each other."""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")


def pins(name: str) -> dict[str, Version]:
    """The versions that a lock file pins, by canonical name."""
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        if match := PIN.match(line):
            found[canonicalize_name(match[1])] = Version(match[2])
    return found


def wanted(groups: tuple[str, ...]) -> list[Requirement]:
    """What pyproject.toml asks for: every extra, and these dependency groups."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    texts = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for group in groups:
        texts += document["dependency-groups"][group]
    return [each for text in texts if (each := Requirement(text)).name != project["name"]]


def main() -> int:
    """0 when all is well; else say what is not, and 1."""
    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    problems = [
        f"{lock}: {requirement} is not met by {locked.get(canonicalize_name(requirement.name))}"
        for lock, locked, groups in (
            ("requirements.lock", runtime, ("build",)),
            ("requirements-dev.lock", development, ("build", "test", "lint")),
        )
        for requirement in wanted(groups)
        if (version := locked.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]
    problems += [
        f"requirements-dev.lock has {name} {development.get(name)}, requirements.lock {version}"
        for name, version in runtime.items()
        if development.get(name) != version
    ]
    for problem in problems:
        sys.stderr.write(f"{problem}; run make lock\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
