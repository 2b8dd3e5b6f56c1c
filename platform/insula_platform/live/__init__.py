"""Live values: from the broker to each client that listens, as server-sent events."""
