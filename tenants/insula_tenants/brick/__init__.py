"""Building models as Brick graphs (Turtle) and Project Haystack grids: read, written, checked."""
