"""site → building → storey → space, the words of the field (IFC, Brick)."""

from __future__ import annotations

from sqlalchemy import Double, ForeignKey, Identity, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from insula_tenants.models import PerTenant


class Site(PerTenant):
    """A place with one or more buildings."""

    __tablename__ = "sites"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    """Its name in Brick graphs; None: one made of its id. So for the others."""
    latitude: Mapped[float | None] = mapped_column(Double)
    """Degrees north, WGS 84."""
    longitude: Mapped[float | None] = mapped_column(Double)
    """Degrees east, WGS 84."""


class Building(PerTenant):
    """A building; its time zone decides what a local day is."""

    __tablename__ = "buildings"
    __table_args__ = (UniqueConstraint("site_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey(Site.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    """IANA name, such as `Europe/Brussels`."""
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Building")
    area: Mapped[float | None] = mapped_column(Double)
    """Gross floor area, m²."""


class Storey(PerTenant):
    """A floor of a building; `level` orders them, 0 is the ground floor."""

    __tablename__ = "storeys"
    __table_args__ = (UniqueConstraint("building_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    building_id: Mapped[int] = mapped_column(ForeignKey(Building.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    level: Mapped[int]
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Storey")


class Space(PerTenant):
    """A room or another space on a storey."""

    __tablename__ = "spaces"
    __table_args__ = (UniqueConstraint("storey_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    storey_id: Mapped[int] = mapped_column(ForeignKey(Storey.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    iri: Mapped[str | None] = mapped_column(Text, unique=True)
    brick_class: Mapped[str] = mapped_column(Text, server_default="Room")
    """Class of the Brick ontology, such as `Conference_Room`."""
    area: Mapped[float | None] = mapped_column(Double)
    """Net floor area, m²."""
    capacity: Mapped[int | None]
    """People that it is meant for."""
    comfort_category: Mapped[str | None] = mapped_column(Text)
    """`I` to `IV` of EN 16798-1; None: II."""
