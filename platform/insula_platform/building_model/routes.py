"""The routes of the building model, in one router."""

from __future__ import annotations

from fastapi import APIRouter

from insula_platform.building_model.part_routes import router as parts
from insula_platform.building_model.place_routes import router as places
from insula_platform.building_model.tree_routes import router as tree
from insula_platform.spaces.routes import router as spaces

router = APIRouter()
for each in (tree, places, spaces, parts):
    router.include_router(each)
