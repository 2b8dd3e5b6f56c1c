"""How comfortable spaces are: pure functions over arrays, and what reads their input."""
