"""Bundles that are damaged or hostile: refused with a reason, before anything is written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from benchmarks.bundle import fill
from insula_tenants.administration import Administration
from insula_tenants.bundle.archive import open_bundle
from insula_tenants.bundle.export import export_tenant
from insula_tenants.bundle.manifest import MAX_MANIFEST_BYTES, BundleRefused
from insula_tenants.bundle.readings import SCHEMA
from insula_tenants.bundle.restore import import_bundle
from insula_tenants.errors import NotFound
from insula_tenants.registry import resolve_tenant
from tests.conftest import Deployment

Content = dict[str, bytes]
JANUARY = "readings/2026-01.parquet"


@pytest.fixture(scope="module")
def admins(deployment: Deployment) -> Iterator[Administration]:
    """The administrator's connections."""
    administration = Administration({"main": deployment.admin_url})
    yield administration
    administration.close()


@pytest.fixture(scope="module")
def content(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The members of a good bundle."""
    fill(deployment.databases, deployment.acme, 1_000)
    path = tmp_path_factory.mktemp("bundle") / "acme.zip"
    export_tenant(deployment.databases, deployment.acme, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, content: Content, compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def claimed(content: Content, **changes: Any) -> Content:
    """The same members with a manifest that is right about them, but for `changes`."""
    manifest = json.loads(content["manifest.json"])
    rows = {entry["name"]: entry["rows"] for entry in manifest["members"]}
    manifest["members"] = [
        {
            "name": name,
            "rows": rows.get(name, 0),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in content.items()
        if name != "manifest.json"
    ]
    return content | {"manifest.json": json.dumps(manifest | changes).encode()}


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def table_of(rows: int, *, schema: pa.Schema = SCHEMA, time: int = 1_767_225_600_000_000) -> pa.Table:
    """Readings of one point, a second apart."""
    columns = [[1] * rows, [time + n * 1_000_000 for n in range(rows)], [1.0] * rows]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def january(content: Content, data: bytes, rows: int | None = None) -> Content:
    """A bundle whose January holds `data`, with a manifest that is right about it."""
    changed = claimed(content | {JANUARY: data})
    if rows is not None:
        manifest = json.loads(changed["manifest.json"])
        for entry in manifest["members"]:
            if entry["name"] == JANUARY:
                entry["rows"] = rows
        manifest["readings"]["rows"] = sum(
            entry["rows"] for entry in manifest["members"] if entry["name"].startswith("readings/")
        )
        changed["manifest.json"] = json.dumps(manifest).encode()
    return changed


def without(content: Content, name: str) -> Content:
    return {each: data for each, data in content.items() if each != name}


def manifest_with(content: Content, change: Callable[[dict[str, Any]], object]) -> Content:
    manifest = json.loads(content["manifest.json"])
    change(manifest)
    return content | {"manifest.json": json.dumps(manifest).encode()}


HOSTILE: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a member was changed": (lambda c: c | {"sites.jsonl": c["sites.jsonl"].replace(b"S", b"T")}, "SHA-256"),
    "a member was cut": (lambda c: c | {JANUARY: c[JANUARY][:-10]}, "SHA-256"),
    "a member is missing": (lambda c: without(c, "devices.jsonl"), "devices.jsonl is missing"),
    "a table is not named": (lambda c: claimed(without(c, "points.jsonl")), "does not name points.jsonl"),
    "no manifest": (lambda c: without(c, "manifest.json"), "it has no manifest.json"),
    "a manifest that is no JSON": (lambda c: c | {"manifest.json": b"{"}, "is no JSON"),
    "a deep manifest": (lambda c: c | {"manifest.json": b"[" * 100_000}, "is no JSON"),
    "a long manifest": (
        lambda c: c | {"manifest.json": c["manifest.json"] + b" " * MAX_MANIFEST_BYTES},
        "longer than",
    ),
    "a manifest of something else": (lambda c: c | {"manifest.json": b"{}"}, "not that of an Insula bundle"),
    "a later format": (lambda c: manifest_with(c, lambda m: m.update(format_version=2)), "format version 2"),
    "an unknown schema version": (
        lambda c: manifest_with(c, lambda m: m.update(schema_version="9999")),
        "schema version '9999'",
    ),
    "an unknown key": (lambda c: manifest_with(c, lambda m: m.update(surprise=1)), "surprise"),
    "a number for a name": (lambda c: manifest_with(c, lambda m: m["tenant"].update(name=1)), "tenant.name"),
    "a member named twice": (
        lambda c: manifest_with(c, lambda m: m["members"].append(m["members"][0])),
        "names a member twice",
    ),
    "wrong rows of a month": (lambda c: january(c, c[JANUARY], rows=7), "has not the 7 rows"),
    "wrong rows of a table": (
        lambda c: manifest_with(
            c, lambda m: next(e for e in m["members"] if e["name"] == "devices.jsonl").update(rows=3)
        ),
        "has not the 3 rows",
    ),
    "a wrong sum": (lambda c: manifest_with(c, lambda m: m["readings"].update(rows=3)), "not those of all"),
    "a path that climbs": (lambda c: claimed(c | {"../../etc/cron.d/x": b""}), "no member of a bundle"),
    "an absolute path": (lambda c: claimed(c | {"/etc/passwd": b""}), "no member of a bundle"),
    "a path below the readings": (
        lambda c: claimed(c | {"readings/../2026-01.parquet": b""}),
        "no member of a bundle",
    ),
    "a member nobody names": (lambda c: c | {"extra.txt": b"x"}, "does not name"),
    "a thirteenth month": (lambda c: claimed(c | {"readings/2026-13.parquet": b""}), "no member of a bundle"),
    "a year that is none": (
        lambda c: claimed(c | {"readings/0000-01.parquet": b""}),
        "no member of a bundle",
    ),
    "the end of time": (lambda c: claimed(c | {"readings/9999-12.parquet": b""}), "no member of a bundle"),
    "no Parquet": (lambda c: january(c, b"PAR1 but not really PAR1"), "cannot be read"),
    "other columns": (
        lambda c: january(c, parquet(table_of(3).rename_columns(["a", "b", "c"])), 3),
        "other columns",
    ),
    "other types": (
        lambda c: january(
            c,
            parquet(table_of(3, schema=SCHEMA.set(0, pa.field("point_id", pa.int64(), nullable=False)))),
            3,
        ),
        "other columns",
    ),
    "a huge row group": (
        lambda c: january(c, parquet(table_of(300_000)), 300_000),
        "row group larger than",
    ),
    "a line without end": (
        lambda c: claimed(c | {"sites.jsonl": c["sites.jsonl"].rstrip(b"\n")}),
        "a line without an end",
    ),
    "an endless line": (lambda c: claimed(c | {"sites.jsonl": b"x" * 5_000_000 + b"\n"}), "longer than"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_before_anything_is_written(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path, case: str
):
    spoil, reason = HOSTILE[case]
    refuse(deployment, admins, pack(tmp_path / "bad.zip", spoil(content)), reason)


def refuse(deployment: Deployment, admins: Administration, path: Path, reason: str) -> None:
    """The import says why not, and nothing is there."""
    with pytest.raises(BundleRefused) as refused:
        import_bundle(admins, path, "refused")
    assert reason in refused.value.detail
    with deployment.databases.core() as core:
        assert core.scalar(text("SELECT count(*) FROM tenants WHERE slug = 'refused'")) == 0


def test_a_good_bundle_passes_the_same_way(content: Content, tmp_path: Path):
    with open_bundle(pack(tmp_path / "good.zip", claimed(content))) as bundle:
        assert bundle.manifest.readings.rows == 1_000


def test_files_that_are_no_zip_are_refused(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path
):
    whole = pack(tmp_path / "whole.zip", content).read_bytes()
    for name, data in (("empty", b""), ("text", b"hello"), ("half", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(data)
        refuse(deployment, admins, tmp_path / name, "no zip")
    refuse(deployment, admins, tmp_path / "absent.zip", "cannot be opened")
    refuse(deployment, admins, tmp_path, "cannot be opened")


def test_a_zip_bomb_is_refused_without_being_unfolded(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path
):
    bomb = content | {"dead_letters.jsonl": b"\0" * 50_000_000}
    path = pack(tmp_path / "bomb.zip", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    refuse(deployment, admins, path, "is compressed")


def test_members_that_lie_over_each_other_are_refused(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path
):
    """The better zip bomb: many entries of the directory share the same bytes."""
    path = pack(tmp_path / "overlap.zip", content)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        sites = archive.getinfo("sites.jsonl").header_offset
    at = raw.index(b"spaces.jsonl", raw.index(b"PK\x01\x02")) - 46  # in the central directory
    raw[at + 42 : at + 46] = struct.pack("<L", sites)
    path.write_bytes(raw)
    refuse(deployment, admins, path, "over another member")


def test_a_name_that_is_there_twice_is_refused(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path
):
    path = pack(tmp_path / "twice.zip", content)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("sites.jsonl", b"")
    refuse(deployment, admins, path, "'sites.jsonl' twice")


def with_line(content: Content, name: str, line: bytes) -> Content:
    """One more row in a table, the manifest right about it."""
    changed = claimed(content | {name: content[name] + line + b"\n"})
    return manifest_with(
        changed,
        lambda m: [e.update(rows=e["rows"] + 1) for e in m["members"] if e["name"] == name],
    )


ROTTEN: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a device in no space": (
        lambda c: with_line(
            c,
            "devices.jsonl",
            b'{"id": 99, "slug": "lost", "name": "x", "space_id": 999, "created_at": "2026-01-01T00:00:00Z",'
            b' "state": "active", "labels": {}}',
        ),
        "foreign key",
    ),
    "a slug that is none": (
        lambda c: with_line(
            c,
            "devices.jsonl",
            b'{"id": 99, "slug": "A/../B", "name": "x", "created_at": "2026-01-01T00:00:00Z",'
            b' "state": "active", "labels": {}}',
        ),
        "check constraint",
    ),
    "two rows in a line": (
        lambda c: with_line(c, "sites.jsonl", b'{"id": 98, "name": "x"}, {"id": 99, "name": "y"}'),
        "not one row each",
    ),
    "no JSON": (lambda c: with_line(c, "sites.jsonl", b"'); DROP TABLE sites; --"), "cannot be stored"),
    "an array": (lambda c: with_line(c, "sites.jsonl", b"[1]"), "cannot be stored"),
    "a NUL": (lambda c: with_line(c, "sites.jsonl", b'{"id": 9, "name": "a\\u0000b"}'), "cannot be stored"),
    "no UTF-8": (lambda c: with_line(c, "sites.jsonl", b'{"id": 9, "name": "\xff"}'), "cannot be stored"),
    "a name of megabytes": (
        lambda c: with_line(
            c, "sites.jsonl", b'{"id": 9, "name": "' + os.urandom(1_000_000).hex().encode() + b'"}'
        ),
        "cannot be stored",
    ),
    "a deep value": (
        lambda c: with_line(c, "sites.jsonl", b'{"id": 9, "name": ' + b"[" * 900_000 + b"]" * 900_000 + b"}"),
        "cannot be stored",
    ),
    "a time beyond time": (
        lambda c: january(c, parquet(table_of(3, time=2**63 - 10**8)), 3),
        "another month",
    ),
    "a role that is none": (
        lambda c: with_line(c, "members.jsonl", b'{"email": "mallory@example.com", "role": "god"}'),
        "no member of a tenant",
    ),
    "an admin of a part of the tenant": (
        lambda c: with_line(
            c, "members.jsonl", b'{"email": "mallory@example.com", "role": "admin", "places": {"sites": [1]}}'
        ),
        "no member of a tenant",
    ),
    "readings of another month": (
        lambda c: january(c, parquet(table_of(3, time=1_700_000_000_000_000)), 3),
        "readings of another month",
    ),
    "a reading twice": (
        lambda c: january(c, parquet(pa.concat_tables([table_of(3), table_of(3)])), 6),
        "duplicate key",
    ),
    "other readings than the manifest's": (lambda c: january(c, parquet(table_of(3)), 3), "checksum differs"),
}


@pytest.mark.parametrize("case", ROTTEN)
def test_rows_that_cannot_be_a_tenants_leave_nothing_visible(
    deployment: Deployment, admins: Administration, content: Content, tmp_path: Path, case: str
):
    """What only PostgreSQL can judge is refused by it, whole; the slug is free for the good bundle."""
    spoil, reason = ROTTEN[case]
    slug = f"rotten-{list(ROTTEN).index(case)}"
    with deployment.databases.core() as core:
        core.execute(
            text(
                "INSERT INTO accounts (id, email, name)"
                " VALUES (gen_random_uuid(), 'mallory@example.com', 'M')"
                " ON CONFLICT (email) DO NOTHING"
            )
        )
    with pytest.raises(BundleRefused) as refused:
        import_bundle(admins, pack(tmp_path / "rotten.zip", spoil(content)), slug)
    assert reason in refused.value.detail
    with deployment.databases.core() as core, pytest.raises(NotFound):
        resolve_tenant(core, slug)
    assert import_bundle(admins, pack(tmp_path / "good.zip", content), slug).readings == 1_000
