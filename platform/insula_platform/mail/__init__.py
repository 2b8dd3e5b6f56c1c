"""Letters to people: written in the transaction that gives the reason, sent by the worker."""

from insula_platform.mail.letters import Letter, enqueue

__all__ = ["Letter", "enqueue"]
