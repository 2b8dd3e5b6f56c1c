"""Read a large file in a process of its own, which ends when it takes too long or too much.

A parser cannot be stopped in a thread, and rdflib's needs minutes for some files of a few megabytes (a text
of nothing but line breaks). The process gets the file on its standard input and answers with the reading,
or with what is wrong, on its standard output.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from typing import Literal, get_args

from insula_tenants.brick.files import MOST_BYTES, FileTooLarge
from insula_tenants.brick.read import Reading, read_brick
from insula_tenants.errors import InvalidInput

FileFormat = Literal["turtle", "json-ld", "haystack"]

SMALL = 16 * 1024
"""Bytes of a file that is read where we are: of this size even a list of thousands takes about a second."""
MOST_SECONDS = 120
"""Of the process, by the clock."""
MOST_CPU_SECONDS = 60
"""Of its computing. A file of as many statements as are taken needs ten."""
MOST_MEMORY = 1024 * 1024 * 1024
"""Bytes of its address space; a file of as many statements as are taken needs about half of it."""


def read_file(content: bytes, form: FileFormat) -> Reading:
    """The building model that a file describes. Raises `InvalidInput` and `FileTooLarge`."""
    if form == "haystack":
        from insula_tenants.brick.haystack import read_haystack

        return read_haystack(content)
    from insula_tenants.brick.files import read_graph

    return read_brick(read_graph(content, form))


def read_apart(content: bytes, form: FileFormat) -> Reading:
    """The same, a large one in a process of its own; `InvalidInput` also when it takes too long or much."""
    if len(content) <= SMALL:
        return read_file(content, form)
    if len(content) > MOST_BYTES:
        raise FileTooLarge(f"a file has at most {MOST_BYTES} bytes: send it in parts")
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", __name__, form],
            input=content,
            stdout=subprocess.PIPE,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput("body", f"reading it takes over {MOST_SECONDS} s: send it in parts") from None
    if done.returncode != 0:
        raise InvalidInput("body", "reading it takes too much memory or time: send it in parts")
    answer = pickle.loads(done.stdout)  # noqa: S301 - our own process has written it
    if isinstance(answer, Reading):
        return answer
    raise InvalidInput(*answer)


def main() -> None:
    """What the process does, after those that answer requests."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS))
    form = next(one for one in get_args(FileFormat) if one == sys.argv[1])
    try:
        answer: Reading | tuple[str, str] = read_file(sys.stdin.buffer.read(), form)
    except InvalidInput as error:
        answer = (error.field, error.detail)
    except MemoryError:
        sys.exit(1)
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    main()
