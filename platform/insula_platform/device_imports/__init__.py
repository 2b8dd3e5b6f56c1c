"""Many devices at a time over HTTP, done by the worker."""
