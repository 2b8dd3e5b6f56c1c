"""The pages, one a module, and what they share."""
