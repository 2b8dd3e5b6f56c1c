"""SQLAlchemy's view of the two schemas. Tables carry no schema name: the session's role decides it."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase


class Core(DeclarativeBase):
    """Tables of the registry (schema `insula`)."""


class PerTenant(DeclarativeBase):
    """Tables that every tenant has in its own schema."""
