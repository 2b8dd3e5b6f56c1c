"""Latest values and readings over HTTP."""
