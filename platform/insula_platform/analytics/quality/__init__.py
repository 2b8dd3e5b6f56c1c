"""The quality of data over HTTP."""
