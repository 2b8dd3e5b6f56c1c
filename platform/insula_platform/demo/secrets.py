"""The demo's own secrets: made at the first start, kept in one file that only its owner may read."""

from __future__ import annotations

import json
import secrets
from pathlib import Path


class DemoSecrets:
    """Named secrets that stay the same from one start to the next."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier start has kept."""
        self._path = path
        self._kept: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def get(self, name: str, length: int = 32) -> str:
        """The secret of that name, made now when there is none; `length` is in bytes of randomness."""
        if name not in self._kept:
            self.put(name, secrets.token_urlsafe(length))
        return self._kept[name]

    def find(self, name: str) -> str | None:
        """The secret of that name, or None."""
        return self._kept.get(name)

    def put(self, name: str, value: str) -> None:
        """Keep a secret that somebody else made."""
        self._kept[name] = value
        write_private(self._path, json.dumps(self._kept, indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text, "utf-8")
    draft.replace(path)
