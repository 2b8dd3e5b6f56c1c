"""What `docs/clients.md` tells people to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from sqlalchemy import text

from tests.platform.conftest import Live
from tests.servers.programs import program

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_guide_does_what_it_says(live: Live, tmp_path: Path):
    program("curl")
    (sign,) = blocks("python")
    (tmp_path / "sign.py").write_text(sign)
    commands = re.sub(r"^\$ ", "", "".join(blocks("console")), flags=re.MULTILINE)
    token = live.tokens_of("ada@example.com", scope="clients:write clients:read devices:read readings:read")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "INSULA": live.url,
            "ADMIN": token["access_token"],
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with live.deployment.databases.core() as core:
        told = core.execute(
            text("SELECT action FROM audit_log WHERE action LIKE 'client.%' ORDER BY id")
        ).scalars()
        assert list(told) == [
            "client.created",
            "client.secret_rotated",
            "client.secret_revoked",
            "client.changed",
            "client.created",
            "client.created",
        ]
    assert done.stdout.count('"access_token"') == 2, "one by a secret, one by a signature"
    assert (tmp_path / "private-key.json").stat().st_mode & 0o077 == 0
