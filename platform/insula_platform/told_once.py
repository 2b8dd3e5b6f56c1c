"""Where a command writes secrets that nobody can ask for again."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from insula_tenants.errors import InvalidInput


@contextmanager
def told_once(path: Path | None) -> Iterator[TextIO]:
    """A new file that its owner alone may read, or standard output when `path` is None.

    It is opened before there is a secret, so that none is made in vain. When the block fails, what it has
    written is worth nothing, and is gone. `InvalidInput` when the file is there or cannot be made.
    """
    if path is None:
        written = io.StringIO()
        yield written
        sys.stdout.write(written.getvalue())
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput("file", f"{path} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
