"""Where bundles lie: `<bundle_dir>/<tenant's id>/<job's id>.zip`, a directory that API and worker share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

LIFETIME = 7 * 86_400
"""Seconds a bundle is kept after it was written."""


def bundle_path(directory: Path, tenant_id: UUID, job_id: UUID) -> Path:
    """The file of one export."""
    return directory / str(tenant_id) / f"{job_id}.zip"


def forget_tenant(directory: Path, tenant_id: UUID) -> None:
    """Delete every bundle of a tenant."""
    shutil.rmtree(directory / str(tenant_id), ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Bundles:
    """The bundles in a directory, as a place that an erasure clears."""

    directory: Path
    name: str = "bundles"

    def forget(self, tenant_id: UUID) -> None:
        """Delete every bundle of the tenant."""
        forget_tenant(self.directory, tenant_id)

    def count(self, tenant_id: UUID) -> int:
        """How many files there are, half-written ones too."""
        return sum(1 for path in (self.directory / str(tenant_id)).rglob("*") if path.is_file())


def forget_expired(directory: Path, tenants: Iterable[UUID]) -> None:
    """Delete what is older than `LIFETIME`, half-written files too, and all of tenants that are no more.

    `tenants` are those that there are. Nothing is touched that is not named as bundles are.
    """
    known = {str(tenant_id) for tenant_id in tenants}
    oldest = time.time() - LIFETIME
    for folder in directory.iterdir() if directory.is_dir() else ():
        if not _is_uuid(folder.name) or not folder.is_dir():
            continue
        if folder.name not in known:
            forget_tenant(directory, UUID(folder.name))
            continue
        for file in folder.glob("*.zip*"):
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
