"""Energy over HTTP: meters, tariffs, emission factors, and what is computed with them."""
