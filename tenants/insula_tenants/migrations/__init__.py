"""Two Alembic trees: `core` for the registry, `tenant` for every tenant's schema."""
