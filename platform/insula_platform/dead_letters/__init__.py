"""Dead letters over HTTP and on the command line: list, inspect, replay, discard."""
