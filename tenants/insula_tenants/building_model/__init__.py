"""The building model: sites, buildings, storeys, spaces, zones, equipment and points, and how they relate."""

from insula_tenants.building_model.apply import Outcome, apply_model
from insula_tenants.building_model.document import ModelDocument
from insula_tenants.building_model.read import read_model
from insula_tenants.building_model.upsert import Problem

__all__ = ["ModelDocument", "Outcome", "Problem", "apply_model", "read_model"]
