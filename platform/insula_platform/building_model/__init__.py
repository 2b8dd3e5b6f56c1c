"""The building model over HTTP."""
