"""An entry of the audit log as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from insula_tenants.audit import AuditEntry


class Entry(BaseModel):
    """That somebody did something."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 42,
                "at": "2026-11-23T07:15:00Z",
                "actor_kind": "operator",
                "actor": "operator-5f0c2a9be1d4",
                "action": "tenant.suspended",
                "target": "acme",
                "detail": {"reason": "unpaid since October"},
                "address": None,
                "request_id": "5b2f7c0e9d3a4f1b8c6d7e8f90a1b2c3",
            }
        }
    )

    id: int
    at: datetime
    actor_kind: Literal["person", "client", "key", "operator", "system"]
    actor: str = Field(description="The account's, client's or API key's id.")
    action: str = Field(description="What was done, as `thing.verb`.")
    target: str = Field(description="What it was done to.")
    detail: dict[str, Any]
    address: str | None = Field(description="Where the request came from; hidden from tenants for operators.")
    request_id: str | None = Field(description="The request's `X-Request-Id`.")


class OperatorEntry(Entry):
    """The same, as the operator sees it."""

    tenant_id: str | None = Field(description="The tenant it concerns, which may be gone.")


def entry(row: AuditEntry) -> Entry:
    """What a tenant sees: nothing of where its operator sits."""
    return Entry(**_fields(row) | {"address": None if row.actor_kind == "operator" else row.address})


def operator_entry(row: AuditEntry) -> OperatorEntry:
    """What the operator sees."""
    return OperatorEntry(**_fields(row), tenant_id=str(row.tenant_id) if row.tenant_id else None)


def _fields(row: AuditEntry) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Entry.model_fields}
