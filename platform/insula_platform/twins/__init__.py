"""What devices are to be: read and changed over HTTP, brought to the broker."""
