"""How things of a building model are read and changed over HTTP, whatever their kind.

A route names the kind and the shape of the answer; here is what all have in common: what the grant covers,
`ETag` and `If-Match`, `Idempotency-Key`, the audit log, one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from insula_platform.access import Access, Requires
from insula_platform.etags import check_if_match, etag_of
from insula_platform.idempotency import Once
from insula_platform.paging import Page, decode_cursor, encode_cursor
from insula_platform.problems import problem_responses
from insula_platform.state import CurrentPlatform, Platform
from insula_tenants import audit
from insula_tenants.building_model.changes import change_thing, create_thing, lock_model, lock_thing
from insula_tenants.building_model.coverage import Coverage, coverage_of
from insula_tenants.building_model.kinds import Kind
from insula_tenants.building_model.removal import delete_thing
from insula_tenants.building_model.views import Reference, find_thing, list_things

Shown = TypeVar("Shown", bound=BaseModel)

PATHS: Mapping[Kind, str] = {
    "site": "sites",
    "building": "buildings",
    "storey": "storeys",
    "space": "spaces",
    "zone": "zones",
    "equipment": "equipment",
    "model-point": "model-points",
}


Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cascade = Annotated[
    bool,
    Query(
        description="Whether what stands in it goes along. Devices stay, with their readings, and stand "
        "nowhere then."
    ),
]


def made_before(shown: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What a creating request may answer besides the thing it made."""
    before = {"model": shown, "description": "Made by an earlier request with this Idempotency-Key"}
    return {200: before, **problem_responses(409)}


@dataclass(frozen=True, slots=True)
class Desk:
    """Who asks, and where."""

    access: Access
    platform: Platform
    response: Response

    def page(
        self,
        kind: Kind,
        shown: type[Shown],
        limit: int,
        cursor: str | None,
        where: Mapping[str, int | None] | None = None,
    ) -> Page[Shown]:
        """A page of the things of this kind, by id; `where` are columns and what they must be."""
        after = decode_cursor(cursor, int)[0] if cursor else None
        with self.platform.databases.tenant(self.access.context) as session:
            coverage = self.coverage(session)
            found = list_things(session, kind, coverage=coverage, where=where, after=after, limit=limit + 1)
        more = encode_cursor(found[limit - 1].id) if len(found) > limit else None
        return Page(items=[shown.model_validate(view) for view in found[:limit]], next_cursor=more)

    def one(self, kind: Kind, shown: type[Shown], row_id: int) -> Shown:
        """One thing."""
        with self.platform.databases.tenant(self.access.context) as session:
            return self._answer(session, kind, shown, row_id)

    def create(self, kind: Kind, shown: type[Shown], asked: BaseModel, key: str | None) -> Shown:
        """Make a thing; 200 instead of 201 where an earlier request with this key made it."""
        with self.platform.databases.core() as core:
            once = Once(core, self.access, PATHS[kind], key, asked.model_dump(mode="json"))
            with self.platform.databases.tenant(self.access.context) as session:
                if once.made is None:
                    facts = _facts(asked)
                    row_id = create_thing(session, kind, facts, coverage=self.coverage(session))
                    once.keep({"id": row_id})
                    told = asked.model_dump(mode="json", exclude_unset=True)
                    self._record(core, kind, "created", row_id, told)
                else:
                    row_id = once.made["id"]
                    self.response.status_code = 200
                answer = self._answer(session, kind, shown, row_id)
        location = f"/api/v1/tenants/{self.access.context.slug}/{PATHS[kind]}/{row_id}"
        self.response.headers["Location"] = location
        return answer

    def change(
        self, kind: Kind, shown: type[Shown], row_id: int, asked: BaseModel, if_match: str | None
    ) -> Shown:
        """Change what is given of a thing."""
        with self.platform.databases.core() as core:
            with self.platform.databases.tenant(self.access.context) as session:
                coverage = self.coverage(session)
                self._check(session, kind, shown, row_id, if_match, coverage)
                change_thing(session, kind, row_id, _facts(asked, changes=True), coverage=coverage)
                answer = self._answer(session, kind, shown, row_id)
            told = asked.model_dump(mode="json", exclude_unset=True)
            self._record(core, kind, "changed", row_id, told)
        return answer

    def delete(
        self, kind: Kind, shown: type[BaseModel], row_id: int, if_match: str | None, *, cascade: bool
    ) -> Response:
        """Remove a thing, and with `cascade` what stands in it."""
        with self.platform.databases.core() as core:
            with self.platform.databases.tenant(self.access.context) as session:
                coverage = self.coverage(session)
                there = self._check(session, kind, shown, row_id, if_match, coverage)
                took = delete_thing(session, kind, row_id, cascade=cascade, coverage=coverage)
            self._record(core, kind, "deleted", row_id, {"name": there.name, "took_along": took})
        return Response(status_code=204)

    def coverage(self, session: Session) -> Coverage | None:
        """What of the model the grant covers; None for all of it."""
        return coverage_of(session, self.access.places)

    def _check(
        self,
        session: Session,
        kind: Kind,
        shown: type[Shown],
        row_id: int,
        if_match: str | None,
        coverage: Coverage | None,
    ) -> Any:
        """The thing as it is, and stays: it may be changed, and is what the caller saw."""
        lock_model(session)
        lock_thing(session, kind, row_id, coverage=coverage)
        view = find_thing(session, kind, row_id, coverage=coverage)
        check_if_match(if_match, _tag(shown.model_validate(view)))
        return view

    def _answer(self, session: Session, kind: Kind, shown: type[Shown], row_id: int) -> Shown:
        view = find_thing(session, kind, row_id, coverage=self.coverage(session))
        answer = shown.model_validate(view)
        self.response.headers["ETag"] = _tag(answer)
        return answer

    def _record(self, core: Session, kind: Kind, verb: str, row_id: int, detail: Mapping[str, Any]) -> None:
        audit.record(
            core,
            self.access.actor,
            f"{kind.replace('-', '_')}.{verb}",
            tenant=self.access.context.id,
            target=str(row_id),
            detail=detail,
        )


def _reading(
    access: Annotated[Access, Requires("devices:read")], platform: CurrentPlatform, response: Response
) -> Desk:
    return Desk(access, platform, response)


def _writing(
    access: Annotated[Access, Requires("devices:write")], platform: CurrentPlatform, response: Response
) -> Desk:
    return Desk(access, platform, response)


Reading = Annotated[Desk, Depends(_reading)]
Writing = Annotated[Desk, Depends(_writing)]


def _facts(asked: BaseModel, *, changes: bool = False) -> dict[str, Any]:
    """What was asked for, references as the tenancy core has them."""
    facts = asked.model_dump(exclude_unset=changes)
    for field in ("location", "of"):
        if facts.get(field) is not None:
            facts[field] = Reference(**facts[field])
    if "feeds" in facts:
        facts["feeds"] = [Reference(**one) for one in facts["feeds"]]
    return facts


def _tag(shown: BaseModel) -> str:
    return etag_of(shown.model_dump(mode="json"))
