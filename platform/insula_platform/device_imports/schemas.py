"""An upload of devices as the API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class RowResult(BaseModel):
    """What a row comes to."""

    model_config = ConfigDict(from_attributes=True)

    line: int = Field(description="Of CSV, the header being line 1; of JSON, the number of the object.")
    device: str | None
    outcome: Literal["new", "unchanged", "bad"]
    field: str | None = Field(description="Of a bad row: the column that is to blame.")
    reason: str | None = Field(description="Of a bad row: what is wrong, and what would be right.")


class Report(BaseModel):
    """What a file comes to, row by row."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "rows": 2,
                "new": 1,
                "unchanged": 0,
                "bad": 1,
                "results": [
                    {
                        "line": 2,
                        "device": "th-1",
                        "outcome": "new",
                        "field": None,
                        "reason": None,
                    },
                    {
                        "line": 3,
                        "device": "th-2",
                        "outcome": "bad",
                        "field": "space",
                        "reason": "there is no space 'HQ/Main/1/Loby': give site/building/storey/space",
                    },
                ],
            }
        }
    )

    rows: int
    new: int
    unchanged: int
    bad: int
    results: list[RowResult]


class DeviceImport(BaseModel):
    """An upload of devices, and how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "3b0c6f9a-1d2e-4f5a-8b7c-6d5e4f3a2b1c",
                "state": "running",
                "step": "admitting",
                "done": 1200,
                "total": 5000,
                "error": None,
                "created_at": "2026-11-24T08:00:00Z",
                "updated_at": "2026-11-24T08:00:21Z",
                "has_credentials": False,
                "report": {"rows": 5000, "new": 5000, "unchanged": 0, "bad": 0, "results": []},
            }
        }
    )

    id: UUID
    state: Literal["waiting", "running", "done", "failed"]
    step: str | None = Field(description="`registering` or `admitting` (at the broker), while it runs.")
    done: int = Field(description="Devices that are through with the step.")
    total: int = Field(description="Devices that are new.")
    error: str | None = Field(description="Why it failed, and what to do.")
    created_at: datetime
    updated_at: datetime
    has_credentials: bool = Field(description="Whether the logins can be fetched: once, within a day.")
    report: Report
