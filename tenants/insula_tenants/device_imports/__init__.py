"""Many devices at a time: read from a file, checked row by row, registered together."""
