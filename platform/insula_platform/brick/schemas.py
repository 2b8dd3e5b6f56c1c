"""What an import of a building model comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from insula_platform.brick.service import Imported

MOST_PROBLEMS = 5000
"""In an answer."""

_EXAMPLE_THING = "https://example.com/forum#hall"


class ImportProblem(BaseModel):
    """Something that the file says and that is not in the model as the file has it."""

    thing: str = Field(description="Its IRI; in Haystack files its id as `urn:haystack:…`.")
    field: str = Field(
        description="A field of the model, or a relationship of Brick; empty: all of the thing was left out."
    )
    detail: str = Field(description="What became of it, and why.")


class ModelImport(BaseModel):
    """What became of a file."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "dry_run": True,
                "created": {"space": 12, "equipment": 3},
                "updated": {"building": 1},
                "unchanged": {"site": 1, "storey": 2},
                "problems": [
                    {
                        "thing": _EXAMPLE_THING,
                        "field": "hasTag",
                        "detail": "a model does not keep it: Reheat",
                    }
                ],
                "problems_not_shown": 0,
            }
        }
    )

    dry_run: bool
    created: dict[str, int] = Field(
        description="How many things, by kind: `site`, `building`, `storey`, `space`, `zone`, `equipment`, "
        "`model-point`."
    )
    updated: dict[str, int]
    unchanged: dict[str, int]
    problems: list[ImportProblem] = Field(description="Of the file's things, each with field and reason.")
    problems_not_shown: int = Field(description=f"How many there are beyond {MOST_PROBLEMS}.")

    @classmethod
    def of(cls, imported: Imported, *, dry_run: bool) -> Self:
        """The answer for an import."""
        shown = imported.problems[:MOST_PROBLEMS]
        return cls(
            dry_run=dry_run,
            created=dict(imported.outcome.created),
            updated=dict(imported.outcome.updated),
            unchanged=dict(imported.outcome.unchanged),
            problems=[ImportProblem(thing=one.key, field=one.field, detail=one.detail) for one in shown],
            problems_not_shown=len(imported.problems) - len(shown),
        )
