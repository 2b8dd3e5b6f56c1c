"""From rows to devices: what each row comes to, without changing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from insula_tenants.device_imports.table import GivenRow
from insula_tenants.devices.models import Device
from insula_tenants.devices.points import check_interval
from insula_tenants.devices.service import NewDevice, check_labels, check_name, check_serial
from insula_tenants.devices.types import list_types
from insula_tenants.errors import InvalidInput
from insula_tenants.names import check_slug
from insula_tenants.spaces import list_spaces

Outcome = Literal["new", "unchanged", "bad"]


class RowResult(NamedTuple):
    """What a row comes to."""

    line: int
    device: str | None
    outcome: Outcome
    field: str | None = None
    """Of a bad row: the column that is to blame, and why."""
    reason: str | None = None


@dataclass(slots=True)
class Checked:
    """What a file comes to."""

    results: list[RowResult] = field(default_factory=list)
    """One for each row, in their order."""
    new: list[NewDevice] = field(default_factory=list)
    points: int = 0
    """How many points the new devices have by their types."""

    def count(self, outcome: Outcome) -> int:
        """How many rows came to this."""
        return sum(result.outcome == outcome for result in self.results)


class _Known(NamedTuple):
    """What there is of a device."""

    name: str
    space_id: int | None
    type: str | None
    gateway: str | None
    serial: str | None
    labels: dict[str, str]
    expected_interval: int | None
    state: str


@dataclass(slots=True)
class _Tenant:
    """What rows may refer to."""

    spaces: Mapping[str, int]
    """By `site/building/storey/space`."""
    space_ids: frozenset[int]
    types: Mapping[str, tuple[int, int | None]]
    """By slug: how many points, and the expected interval."""
    devices: Mapping[str, _Known]


def check_rows(session: Session, rows: Sequence[GivenRow]) -> Checked:
    """What the rows come to, in their order: a gateway must be there already, or come before its children.

    A device that is there and as its row says is unchanged; one that is there and is not, is bad: an upload
    changes nothing.
    """
    tenant = _read_tenant(session)
    checked, seen = Checked(), dict[str, int]()
    gateways = {slug for slug, known in tenant.devices.items() if known.state != "decommissioned"}
    for row in rows:
        slug = row.fields.get("device")
        told = slug if isinstance(slug, str) else None
        try:
            new = _device_of(row.fields, tenant, gateways)
            _check_first(seen.setdefault(new.slug, row.line), row.line)
            known = tenant.devices.get(new.slug)
            if known is not None:
                _check_same(known, row.fields, new)
        except InvalidInput as error:
            checked.results.append(RowResult(row.line, told, "bad", error.field, error.detail))
            continue
        gateways.add(new.slug)
        if known is None:
            checked.new.append(new)
            checked.points += tenant.types[new.type][0] if new.type is not None else 0
        checked.results.append(RowResult(row.line, new.slug, "new" if known is None else "unchanged"))
    return checked


def _read_tenant(session: Session) -> _Tenant:
    spaces = list_spaces(session)
    gateway = aliased(Device)
    query = select(
        Device.slug,
        Device.name,
        Device.space_id,
        Device.type,
        gateway.slug,
        Device.serial,
        Device.labels,
        Device.expected_interval,
        Device.state,
    ).outerjoin(gateway, gateway.id == Device.gateway_id)
    return _Tenant(
        {one.path: one.id for one in spaces},
        frozenset(one.id for one in spaces),
        {one.slug: (len(one.points), one.expected_interval) for one in list_types(session)},
        {row[0]: _Known(*row[1:]) for row in session.execute(query)},
    )


def _device_of(fields: Mapping[str, Any], tenant: _Tenant, gateways: set[str]) -> NewDevice:
    slug = check_slug(_text(fields, "device") or "", field="device")
    name = _text(fields, "name") or ""
    check_name(name)
    serial = _text(fields, "serial")
    check_serial(serial)
    device_type = _text(fields, "type")
    if device_type is not None and device_type not in tenant.types:
        raise InvalidInput("type", f"there is no device type {device_type[:60]!r}")
    gateway = _text(fields, "gateway")
    if gateway is not None and gateway not in gateways:
        raise InvalidInput("gateway", f"there is no device {gateway[:60]!r}: put its row first")
    interval = _interval(fields.get("expected_interval"))
    if interval is None and device_type is not None:
        interval = tenant.types[device_type][1]
    check_interval(interval)
    labels = _labels(fields.get("labels"))
    check_labels(labels)
    space_id = _space(fields.get("space"), tenant)
    return NewDevice(
        slug,
        name,
        space_id=space_id,
        gateway=gateway,
        type=device_type,
        expected_interval=interval,
        serial=serial,
        labels=labels,
    )


def _check_first(line: int, present: int) -> None:
    if line != present:
        raise InvalidInput("device", f"line {line} has this device already")


def _check_same(known: _Known, fields: Mapping[str, Any], new: NewDevice) -> None:
    """`InvalidInput` that names the first column in which the device is not as its row says."""
    if known.state == "decommissioned":
        raise InvalidInput("device", f"{new.slug!r} is decommissioned: reactivate it, or use another name")
    said: dict[str, Any] = {
        "name": new.name,
        "type": new.type,
        "space": new.space_id,
        "gateway": new.gateway,
        "serial": new.serial,
        "expected_interval": new.expected_interval,
        "labels": dict(new.labels),
    }
    for column, value in said.items():
        # A column that is left out says nothing.
        is_there = getattr(known, "space_id" if column == "space" else column)
        if column in fields and is_there != value:
            raise InvalidInput(column, f"device {new.slug!r} is there and has {is_there!r}: change it there")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(name, "give text")
    return value


def _interval(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isascii():
        raise InvalidInput("expected_interval", "give whole seconds")
    if not str(value).isdigit() or len(str(value)) > 9:
        raise InvalidInput("expected_interval", f"{str(value)[:20]!r} is no number of seconds")
    return int(value)


def _labels(value: Any) -> dict[str, str]:
    """An object in JSON; in CSV `name=value`, several of them with a semicolon between."""
    if value is None:
        return {}
    if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
        return {str(name): one for name, one in value.items()}
    if not isinstance(value, str):
        raise InvalidInput("labels", "give an object of texts")
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise InvalidInput("labels", "give labels as name=value, with a semicolon between two")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _space(value: Any, tenant: _Tenant) -> int | None:
    """A path, or an id."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value in tenant.space_ids:
        return value
    if isinstance(value, str):
        path = "/".join(part.strip() for part in value.split("/"))
        if path in tenant.spaces:
            return tenant.spaces[path]
        if path.isascii() and path.isdigit() and len(path) < 10 and int(path) in tenant.space_ids:
            return int(path)
    raise InvalidInput("space", f"there is no space {str(value)[:200]!r}: give site/building/storey/space")
