"""The worker: work on a schedule, and later whatever should not keep a request waiting."""
