"""Why is my device silent: what is known of a device, and a verdict in plain words."""
