"""What is known of energy, computed from counters: pure functions over arrays."""
