"""`GET …/building-model`, all of it as a tree, and `GET …/building-model/search`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from insula_platform.building_model.desk import Limit, Reading
from insula_platform.building_model.tree_schemas import Found, FoundKind, Tree
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES
from insula_tenants.building_model.search import search
from insula_tenants.building_model.tree import read_tree

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/building-model", tags=["Building model"], responses=PROBLEM_RESPONSES
)


@router.get("")
def get_tree(desk: Reading) -> Tree:
    """The whole model that your grant covers: sites, buildings, storeys, spaces, and how much is in each.

    What stands in no space, storey or building is in the counts at the top alone. Equipment and points are
    lists of their own: `…/equipment`, `…/model-points`, `…/points`.
    """
    with desk.platform.databases.tenant(desk.access.context) as session:
        return Tree.model_validate(read_tree(session, coverage=desk.coverage(session)))


@router.get("/search")
def get_search(
    desk: Reading,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=100,
            description="Part of a name, a class or an IRI, whatever the case. The name of a class also "
            "finds what is of a kind of it: `HVAC_Equipment` finds each VAV.",
            examples=["meeting"],
        ),
    ],
    kind: Annotated[FoundKind | None, Query(description="Only things of this kind.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Found]:
    """What of the model has this in its name, class or IRI: by kind from the site down, then by name."""
    after = decode_cursor(cursor, int, str, int) if cursor else None
    with desk.platform.databases.tenant(desk.access.context) as session:
        found = search(
            session,
            q,
            kind=kind,
            coverage=desk.coverage(session),
            after=(after[0], after[1], after[2]) if after else None,
            limit=limit + 1,
        )
    more = encode_cursor(*found[limit - 1].position) if len(found) > limit else None
    return Page(items=[Found.model_validate(one) for one in found[:limit]], next_cursor=more)
