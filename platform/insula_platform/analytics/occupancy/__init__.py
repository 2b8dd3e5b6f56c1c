"""The use of spaces over HTTP."""
