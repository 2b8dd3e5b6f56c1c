"""Commands: one thing that a device is to do, and what became of it."""

from insula_tenants.commands.models import Command, CommandState
from insula_tenants.commands.service import (
    CommandView,
    NewCommand,
    Order,
    add_command,
    cancel_command,
    find_command,
    list_commands,
    note_nobody,
    note_sent,
    order_of,
    orders_waiting,
    time_out,
)

__all__ = [
    "Command",
    "CommandState",
    "CommandView",
    "NewCommand",
    "Order",
    "add_command",
    "cancel_command",
    "find_command",
    "list_commands",
    "note_nobody",
    "note_sent",
    "order_of",
    "orders_waiting",
    "time_out",
]
