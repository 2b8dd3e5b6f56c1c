"""The SQL of the hot paths, one named statement a file.

The search path is the tenant's schema, so no table needs a schema's name.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, LiteralString, cast


@cache
def statement(name: str) -> LiteralString:
    """The text of `name`.sql."""
    text: Any = resources.files(__name__).joinpath(f"{name}.sql").read_text("utf-8")
    return cast("LiteralString", text)
