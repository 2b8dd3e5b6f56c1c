"""Send a file of past readings as its device would have: `replay`, and the command `insula replay`."""

from insula_ingest.replay.cli import command
from insula_ingest.replay.rows import ReplayError
from insula_ingest.replay.sending import ReplayReport, ReplayStoppedError, replay

__all__ = ["ReplayError", "ReplayReport", "ReplayStoppedError", "command", "replay"]
