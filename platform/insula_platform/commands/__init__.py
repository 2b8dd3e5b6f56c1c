"""Commands to devices over HTTP, and their way to the broker."""
