"""How complete the data of an answer is, as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

COMPLETENESS: JsonDict = {"expected": 1440, "present": 1423, "share": 0.988, "estimated": False}
"""An example."""


class Completeness(BaseModel):
    """How much of what was expected is there, of the readings that the answer rests on."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": COMPLETENESS})

    expected: int = Field(
        description="Readings that should be there, by the points' intervals; 0 where none are expected by "
        "the clock, as of a door contact."
    )
    present: int = Field(description="Readings that are there, at most as many as are expected.")
    share: float | None = Field(description="Between 0 and 1; null where nothing was expected.")
    estimated: bool = Field(
        description="Whether the interval of any point was taken from its own readings, as nobody said it."
    )
