"""A foreign OpenID provider: npm's oidc-provider, as a child process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.programs import program, unavailable

_HOME = Path(__file__).parent / "oidc-provider"


class ForeignProvider:
    """One provider with these clients, which forgets everything when it stops."""

    def __init__(self, clients: list[dict[str, Any]]) -> None:
        if not (_HOME / "node_modules").is_dir():
            unavailable("oidc-provider is not installed: run make oidc-provider")
        self._process = subprocess.Popen(
            [program("node", "nodejs"), str(_HOME / "server.mjs"), json.dumps(clients)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it warns of what only production should not do
        )
        assert self._process.stdout
        self.issuer = self._process.stdout.readline().decode().strip()
        assert self.issuer, f"oidc-provider did not start: exit code {self._process.wait(10)}"

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)
