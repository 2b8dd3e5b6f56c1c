"""How good data is: complete, moving, in range, on time."""
