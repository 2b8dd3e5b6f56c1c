"""What became of an upload, as the API shows it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from insula_platform.backfill.service import Outcome
from insula_tenants.telemetry.reasons import Reason


class RowProblem(BaseModel):
    """Why a row is not stored."""

    row: int = Field(description="CSV and lines of JSON: the line; array and Arrow: the position, from 1.")
    field: str = Field(description="Where in the row.", examples=["time"])
    reason: Reason
    detail: str = Field(description="What is wrong, and what would be right.")


class BackfillResult(BaseModel):
    """What became of the rows."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "rows": 200000,
                "stored": 199999,
                "rejected": 1,
                "points_made": 2,
                "dry_run": False,
                "problems": [
                    {
                        "row": 17,
                        "field": "time",
                        "reason": "bad_time",
                        "detail": "'yesterday' is no time; send RFC 3339 with an offset, or milliseconds "
                        "since the epoch",
                    }
                ],
                "problems_not_shown": 0,
            }
        }
    )

    rows: int = Field(description="Rows that were read.")
    stored: int = Field(description="Rows that are stored, also those that were before; or could be, if dry.")
    rejected: int = Field(description="Rows that are not.")
    points_made: int = Field(description="Names not seen before that became points, or would.")
    dry_run: bool
    problems: list[RowProblem] = Field(description="The first of those that were rejected.")
    problems_not_shown: int = Field(description="Further ones.")

    @classmethod
    def of(cls, outcome: Outcome, *, dry_run: bool) -> Self:
        """The answer to an upload that was read to its end."""
        return cls(
            rows=outcome.rows,
            stored=outcome.stored,
            rejected=outcome.rejected,
            points_made=outcome.points_made,
            dry_run=dry_run,
            problems=[RowProblem(**problem._asdict()) for problem in outcome.problems],
            problems_not_shown=outcome.rejected - len(outcome.problems),
        )
