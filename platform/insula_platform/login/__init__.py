"""`insula login`: a person's own access to a platform, from a terminal, over HTTP alone."""
