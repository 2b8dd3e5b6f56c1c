"""A building model as files: Brick out and in, Project Haystack in."""
