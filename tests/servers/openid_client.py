"""A client library of another language (npm's `openid-client`), in a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.programs import program, unavailable

_FOLDER = Path(__file__).parent / "openid-client"


class OpenidClient:
    """A Node.js program that does as it is told, step by step."""

    def __init__(self, **asked: Any) -> None:
        """`asked` says what `client.mjs` is to do, and as which client."""
        if not (_FOLDER / "node_modules").is_dir():
            unavailable("openid-client is not installed: run make openid-client")
        self._process = subprocess.Popen(
            [program("node", "nodejs"), str(_FOLDER / "client.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, line: dict[str, Any]) -> None:
        """Write a line to it."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def step(self, name: str) -> dict[str, Any]:
        """What it did next, which must be this."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the client ended before {name!r}: what it says is on standard error"
        told: dict[str, Any] = json.loads(line)
        assert told["step"] == name
        return told
