"""Ports for the demo: the usual ones where they are free."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def choose_port(preferred: int, taken: set[int]) -> int:
    """`preferred`, or a free port when somebody has it already."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            chosen = int(probe.getsockname()[1])
            if chosen not in taken:
                taken.add(chosen)
                return chosen
    return choose_port(0, taken)


def is_open(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=0.5).close()
    except OSError:
        return False
    return True
