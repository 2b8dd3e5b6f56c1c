"""What a bundle says of itself, and the error when it does not hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from insula_tenants.errors import InvalidInput

FORMAT: Final = "insula-bundle"
FORMAT_VERSION: Final = 1

MANIFEST = "manifest.json"
MEMBERS = "members.jsonl"
TABLES = (
    "sites",
    "buildings",
    "storeys",
    "spaces",
    "zones",
    "zone_spaces",
    "equipment",
    "equipment_feeds",
    "device_types",
    "devices",
    "device_credentials",
    "points",
    "model_points",
    "meters",
    "tariffs",
    "emission_factors",
    "sparkplug_metrics",
    "dead_letters",
    "twins",
    "commands",
    "presence_changes",
    "findings",
)
"""Tables of a tenant that go into a bundle row by row, referenced ones before those that refer to them."""
OLDEST = "0008"
"""The schema version from which on tables and columns were only ever added: bundles since then are read, what
they do not have is empty or has its default."""
TABLES_OF_OLDEST = (
    "sites",
    "buildings",
    "storeys",
    "spaces",
    "device_types",
    "devices",
    "device_credentials",
    "points",
    "sparkplug_metrics",
    "dead_letters",
    "twins",
    "commands",
    "presence_changes",
)
"""Those of `TABLES` that every bundle has."""
REBUILT = (
    "latest",
    "readings",
    "dead_letter_drops",
    "dirty_ranges",
    "rollup_state",
    "dead_letter_drops",
    "desired_outbox",
    "device_presence",
    "device_health",
    "readings_15m",
    "readings_1h",
    "readings_1d",
    "schema_version",
    "enrolments",
    "analyses",
    "analysis_slices",
    "forecasts",
)
"""Tables of a tenant that do not: readings travel as Parquet, others follow, and what waits for approval came
with a key that stays behind."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024

# Years that Python can name, and so can the month after.
_MONTH = re.compile(r"readings/[1-8][0-9]{3}-(0[1-9]|1[0-2])\.parquet")


class BundleRefused(InvalidInput):
    """The bundle cannot be imported."""

    type = "bundle-refused"

    def __init__(self, detail: str) -> None:
        """`detail` says what is wrong with the bundle, and what would be right."""
        super().__init__("bundle", f"the bundle is refused: {detail}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(_Strict):
    """One member of the zip."""

    name: Annotated[str, Field(max_length=100)]
    rows: Annotated[int, Field(ge=0, lt=2**62)]
    bytes: Annotated[int, Field(ge=0, lt=2**62)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class TenantEntry(_Strict):
    """The tenant, as its registry knew it."""

    slug: Annotated[str, Field(max_length=40)]
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    plan: Annotated[str, Field(max_length=100)]
    quotas: dict[str, int]


class ReadingsEntry(_Strict):
    """All readings together. `checksum` depends on each point, time and value, not on their order."""

    rows: Annotated[int, Field(ge=0, lt=2**62)]
    checksum: Annotated[str, Field(pattern="^-?[0-9]{1,40}$")]


class Manifest(_Strict):
    """What a bundle holds, and where it is from."""

    format: Literal["insula-bundle"] = FORMAT
    format_version: Literal[1] = FORMAT_VERSION
    created_at: Annotated[AwareDatetime, Field(strict=False)]
    tenant: TenantEntry
    engine: Annotated[str, Field(max_length=100)]
    engine_version: Annotated[str, Field(max_length=100)]
    schema_version: Annotated[str, Field(max_length=100)]
    readings: ReadingsEntry
    members: Annotated[tuple[Entry, ...], Field(max_length=10_000, strict=False)]

    def to_bytes(self) -> bytes:
        """The manifest as it stands in the zip."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()

    @property
    def months(self) -> list[Entry]:
        """The members with readings, by month."""
        return sorted((entry for entry in self.members if is_month(entry.name)), key=lambda one: one.name)


class Exported(_Strict):
    """What an export made."""

    path: Path
    bytes: int
    manifest: Manifest


def is_month(name: str) -> bool:
    """Whether a member of this name holds the readings of a month."""
    return _MONTH.fullmatch(name) is not None


def month_member(month: datetime) -> str:
    """Name of the member with the readings of `month`."""
    return f"readings/{month:%Y-%m}.parquet"


def month_of(name: str) -> datetime:
    """The first moment of the month whose readings are in the member of this name."""
    return datetime(int(name[9:13]), int(name[14:16]), 1, tzinfo=UTC)


def rows_member(table: str) -> str:
    """Name of the member with the rows of `table`."""
    return f"{table}.jsonl"


def read_manifest(raw: bytes) -> Manifest:
    """The manifest in `raw`; `BundleRefused` when it is none that this release reads."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise BundleRefused(f"{MANIFEST} is no JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BundleRefused(f"{MANIFEST} is not that of an Insula bundle")
    if document.get("format_version") != FORMAT_VERSION:
        raise BundleRefused(
            f"it has format version {document.get('format_version')!r}, this release reads {FORMAT_VERSION}"
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleRefused(f"{MANIFEST}: {place}: {first['msg']}") from None
    _check_members(manifest)
    return manifest


def check_names(manifest: Manifest, tables: Iterable[str]) -> None:
    """`BundleRefused` where the manifest leaves out the people, or one of these tables."""
    names = {entry.name for entry in manifest.members}
    if missing := {MEMBERS, *map(rows_member, tables)} - names:
        raise BundleRefused(f"{MANIFEST} does not name {', '.join(sorted(missing))}")


def _check_members(manifest: Manifest) -> None:
    names = [entry.name for entry in manifest.members]
    known = {MEMBERS, *map(rows_member, TABLES)}
    if len(set(names)) < len(names):
        raise BundleRefused(f"{MANIFEST} names a member twice")
    check_names(manifest, TABLES_OF_OLDEST)
    for name in names:
        if name not in known and not is_month(name):
            raise BundleRefused(f"{MANIFEST} names {name!r}, which is no member of a bundle")
    if sum(entry.rows for entry in manifest.months) != manifest.readings.rows:
        raise BundleRefused(f"{MANIFEST}: the rows of the months are not those of all readings")
