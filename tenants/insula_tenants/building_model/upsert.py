"""One node of a document after the other becomes a row: found and changed, or made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm import Session

from insula_tenants.building_model.fields import check_field
from insula_tenants.building_model.keys import Keys, check_iri, local_name
from insula_tenants.building_model.kinds import MODELS, Kind, Row, words_of
from insula_tenants.building_model.matching import Place, Things, place_of
from insula_tenants.devices.service import check_name
from insula_tenants.errors import InvalidInput

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a document says and that could not be taken as it is."""

    key: str
    field: str
    """The field of the node; empty when all of it was left out."""
    detail: str


class Node(Protocol):
    """What the nodes of all kinds have."""

    @property
    def key(self) -> str:
        """Its IRI."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def brick_class(self) -> str:
        """The local name of its class."""


class Upserts:
    """What has become of a document so far."""

    def __init__(self, session: Session) -> None:
        """Of a document for the tenant of this session."""
        self.session = session
        self.keys = Keys(session)
        self.problems: list[Problem] = []
        self._things = Things(session, self.keys)
        self._named: dict[str, tuple[Kind, Row]] = {}
        """What the document has named, by key."""
        self._status: dict[str, tuple[Kind, str]] = {}
        """Whether each was `created`, `updated` or is `unchanged`."""

    def take(
        self,
        kind: Kind,
        node: Node,
        facts: Mapping[str, Any],
        place: Mapping[str, int | None],
        *,
        row: Row | None = None,
        accept: Callable[[Row], bool] = lambda _: True,
        defaults: Mapping[str, Any] | None = None,
    ) -> Row | None:
        """The row that is now what the node says, or None where it cannot be: `problems` says why.

        `facts` are columns, where None says nothing; `place` the columns of what it stands in, of which one
        or none is set, all left out to keep what is there. Where its key names none, `row` is meant, unless
        it has an IRI of its own, else one of the same name there that `accept` lets pass. A new one has
        `defaults` where the document does not say.
        """
        found = self._things.find(node.key)
        if node.key in self._named or (found is not None and found[0] != kind):
            other, _ = self._named.get(node.key) or found or (kind, None)
            self.report(node.key, "", f"the same name (IRI) is that of a {words_of(other)}: it needs its own")
            return None
        name = self._clean_name(node)
        where = next(((column, one) for column, one in place.items() if one is not None), None)
        if row is None or row.iri is not None or self._things.is_claimed(row):
            row = self._things.find_nameless(kind, where, name, accept)
        there = found[1] if found else row
        if there is None:
            return self._make(kind, node, name, where, facts, defaults or {})
        self._things.claim(there)
        self._named[node.key] = (kind, there)
        self._status[node.key] = (kind, "unchanged")
        name = self._free_name(kind, node.key, where if place else place_of(kind, there), name, there)
        wanted = {"name": name, **place, **self._checked(kind, node, facts)}
        if there.iri is None and not self.keys.is_own(node.key) and self._is_iri(node.key):
            wanted["iri"] = node.key
        self._change(kind, node.key, there, wanted)
        return there

    def resolve(self, key: str, kinds: Iterable[Kind]) -> tuple[Kind, Row] | None:
        """The thing of this key, of one of these kinds: the document's, else what was there already."""
        found = self._named.get(key) or self._things.find(key)
        return found if found is not None and found[0] in kinds else None

    def parent(self, key: str, kind: Kind, of: str) -> Row | None:
        """What the thing of `key` stands in; None, and a problem, where it is not there."""
        found = self.resolve(of, (kind,))
        if found is None:
            self.report(key, kind, f"there is no {kind} {of!r}, in the document or here: it was left out")
            return None
        return found[1]

    def report(self, key: str, field: str, detail: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(key, field, detail))

    def touch(self, key: str) -> None:
        """Something of the thing has changed that is kept in another table."""
        kind, status = self._status[key]
        if status == "unchanged":
            self._status[key] = (kind, "updated")

    def is_new(self, key: str) -> bool:
        """Whether the thing was made."""
        return key in self._status and self._status[key][1] == "created"

    def leave(self, kind: Kind, key: str) -> None:
        """The node says what is there already, in another form."""
        self._status[key] = (kind, "unchanged")

    def kinds_that_are(self, status: str) -> list[str]:
        """The kind of each node of this status."""
        return [kind for kind, each in self._status.values() if each == status]

    def _make(
        self,
        kind: Kind,
        node: Node,
        name: str,
        where: Place,
        facts: Mapping[str, Any],
        defaults: Mapping[str, Any],
    ) -> Row | None:
        if not self._is_iri(node.key):
            return None
        # The key of a thing that is gone: its id is never given again, so neither is the key.
        iri = None if self.keys.is_own(node.key) else node.key
        columns = dict([where]) if where is not None else {}
        name = self._free_name(kind, node.key, where, name, None)
        row: Row = MODELS[kind](
            name=name, iri=iri, **columns, **{**defaults, **self._checked(kind, node, facts)}
        )
        self.session.add(row)
        self._things.stand(kind, row)
        self._things.claim(row)
        self._named[node.key] = (kind, row)
        self._status[node.key] = (kind, "created")
        return row

    def _change(self, kind: Kind, key: str, row: Row, wanted: Mapping[str, Any]) -> None:
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if not changed:
            return
        self._things.leave(kind, row)
        for name, value in changed.items():
            setattr(row, name, value)
        self._things.stand(kind, row)
        self.touch(key)
        # One after the other: a name that this one has left is free for the next.
        self.session.flush()

    def _checked(self, kind: Kind, node: Node, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What the node says of these fields, as it is kept; what cannot be so becomes a problem."""
        found = {}
        classes = {"brick_class": node.brick_class} if kind != "site" else {}
        for field, value in {**classes, **facts}.items():
            try:
                checked = check_field(kind, field, value)
            except InvalidInput as error:
                self.report(node.key, field, error.detail)
            else:
                if checked is not None:
                    found[field] = checked
        return found

    def _clean_name(self, node: Node) -> str:
        """The name on one line; the end of its key where it is none."""
        name = " ".join(node.name.split())[:LONGEST_NAME].strip()
        try:
            check_name(name)
        except InvalidInput:
            name = local_name(node.key)[:LONGEST_NAME]
            self.report(node.key, "name", f"{node.name[:80]!r} is no name: it is called {name!r}")
        return name

    def _free_name(self, kind: Kind, key: str, where: Place, name: str, row: Row | None) -> str:
        """The name, told apart by the end of its key where another one has it in the same place."""
        other = self._things.standing(kind, where, name)
        if other is None or other is row:
            return name
        longer = f"{name[: LONGEST_NAME // 2]} ({local_name(key)[: LONGEST_NAME // 3]})"
        number = 2
        while (other := self._things.standing(kind, where, longer)) is not None and other is not row:
            longer = f"{longer.removesuffix(f' {number - 1}')} {number}"
            number += 1
        self.report(key, "name", f"another {kind} there is called {name!r}: this one is called {longer!r}")
        return longer

    def _is_iri(self, key: str) -> bool:
        try:
            check_iri(key)
        except InvalidInput as error:
            self.report(key, "", error.detail)
            return False
        return True
