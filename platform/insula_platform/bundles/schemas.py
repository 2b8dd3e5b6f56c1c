"""An export as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Export(BaseModel):
    """One export and how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "6f0d6f0e-6a3e-4c39-8f5a-0a4f3b5d8c11",
                "state": "done",
                "step": None,
                "done": 5000000,
                "total": 5000000,
                "created_at": "2026-11-23T07:15:00Z",
                "updated_at": "2026-11-23T07:15:09Z",
                "error": None,
                "bytes": 37014321,
                "expires_at": "2026-11-30T07:15:09Z",
                "bundle": "/api/v1/tenants/acme/exports/6f0d6f0e-6a3e-4c39-8f5a-0a4f3b5d8c11/bundle",
            }
        }
    )

    id: UUID
    state: Literal["waiting", "running", "done", "failed"]
    step: str | None = Field(description="What is being written, while it runs.")
    done: int = Field(description="Readings that are written.")
    total: int | None = Field(description="Readings there are; null until they are counted.")
    created_at: datetime
    updated_at: datetime
    error: str | None = Field(description="Why it failed, and what to do.")
    bytes: int | None = Field(description="Size of the bundle, once it is done.")
    expires_at: datetime | None = Field(description="Until when the bundle can be fetched.")
    bundle: str | None = Field(description="Path to fetch the bundle from, once it is done.")
