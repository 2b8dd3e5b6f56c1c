"""What is wrong with a point's data, how much, and what to do."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "silent",
    "incomplete",
    "gap",
    "stuck",
    "out_of_range",
    "clock_ahead",
    "clock_behind",
    "interval_unknown",
]
Severity = Literal["serious", "minor"]
