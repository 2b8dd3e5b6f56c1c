"""What people let programs do for them that are not the operator's own."""
