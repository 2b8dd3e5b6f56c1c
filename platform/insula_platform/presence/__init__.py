"""Whether devices are there, over HTTP."""
