"""All pages of the account."""

from __future__ import annotations

from fastapi import APIRouter

from insula_platform.account.factors import router as factors
from insula_platform.account.overview import router as overview
from insula_platform.account.password import router as password
from insula_platform.account.sessions import router as sessions

router = APIRouter(include_in_schema=False)
for each in (overview, password, factors, sessions):
    router.include_router(each)
