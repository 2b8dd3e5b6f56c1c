"""Data quality: what charts and tables of it show, and how they are drawn."""
