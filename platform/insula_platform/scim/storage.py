"""Where scim2-server reads and writes one tenant's resources; the protocol is its business."""

from __future__ import annotations

from typing import Any

from scim2_models import (
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.storage import ScimStorage, SearchPage
from scim2_server.utils import parametrize
from sqlalchemy import func
from sqlalchemy.orm import Session

from insula_platform.scim.groups import Groups
from insula_platform.scim.models import ScimGroup, ScimUser
from insula_platform.scim.resources import Group, User
from insula_platform.scim.users import Users
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext

_FAR = 2**31
"""Behind the last of anything."""


class TenantStorage(ScimStorage):
    """The users and groups of one tenant, for the length of one transaction."""

    def __init__(self, core: Session, tenant: TenantContext, actor: Actor) -> None:
        """Whoever writes holds the tenant's lock: what was read is what is changed."""
        self.core, self.tenant_id, self.actor = core, tenant.id, actor
        self.users = Users(core, tenant, actor)
        self.groups = Groups(core, tenant.id, self.users)

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,  # noqa: ARG002 - all of it is cheap
    ) -> Resource[Any]:
        """One resource."""
        return self._shown(self._find(resource_type, resource_id))

    def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,  # noqa: ARG002 - pages are by index
    ) -> SearchPage:
        """One page. A name or an external id is found by index, as directories ask; else each is seen."""
        start, count = min(search_request.start_index_0 or 0, _FAR), search_request.count or 0
        wanted = search_request.filter
        if wanted is None and len(resource_types) == 1:
            kind = resource_types[0]
            return SearchPage(self._of(kind).count(), self._all(kind, offset=start, limit=count))
        found = [
            resource
            for kind in resource_types
            for resource in self._all(kind, *_by_index(kind, wanted))
            if _matches(wanted, resource)
        ]
        return SearchPage(len(found), found[start : start + count])

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """A new user or group."""
        row: ScimUser | ScimGroup
        if isinstance(resource, User):
            row = self.users.create(resource)
        else:
            assert isinstance(resource, Group)  # noqa: S101 - the provider has these two
            row = self.groups.create(resource)
        self._note("created", resource_type, row)
        return self._shown(row)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """The whole new state of a user or group."""
        row = self._find(resource_type, resource.id or "", expected_version)
        if isinstance(row, ScimUser) and isinstance(resource, User):
            self.users.update(row, resource)
        elif isinstance(row, ScimGroup) and isinstance(resource, Group):
            self.groups.update(row, resource)
        self._note("changed", resource_type, row)
        return self._shown(row)

    def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        """Remove a user or group."""
        row = self._find(resource_type, resource_id, expected_version)
        self._note("removed", resource_type, row)
        if isinstance(row, ScimUser):
            self.users.delete(row)
        else:
            self.groups.delete(row)

    def _find(
        self, resource_type: ResourceType, resource_id: str, expected_version: str | None = None
    ) -> ScimUser | ScimGroup:
        row: ScimUser | ScimGroup = self._of(resource_type).find(resource_id)
        if expected_version is not None and expected_version != f'W/"{row.version}"':
            raise PreconditionFailedException
        return row

    def _of(self, resource_type: ResourceType) -> Users | Groups:
        return self.users if _is_user(resource_type) else self.groups

    def _all(self, resource_type: ResourceType, *conditions: Any, **page: int) -> list[Resource[Any]]:
        if _is_user(resource_type):
            return list(self.users.shown(self.users.rows(*conditions, **page)))
        return list(self.groups.shown(self.groups.rows(*conditions, **page)))

    def _shown(self, row: ScimUser | ScimGroup) -> Resource[Any]:
        return self.users.shown([row])[0] if isinstance(row, ScimUser) else self.groups.shown([row])[0]

    def _note(self, verb: str, resource_type: ResourceType, row: ScimUser | ScimGroup) -> None:
        called = row.user_name if isinstance(row, ScimUser) else row.display_name
        detail: dict[str, Any] = {"active": row.active} if isinstance(row, ScimUser) else {}
        action = f"scim_{str(resource_type.name).lower()}.{verb}"
        detail["id"] = str(row.id)
        audit.record(self.core, self.actor, action, tenant=self.tenant_id, target=called, detail=detail)


def _is_user(resource_type: ResourceType) -> bool:
    return resource_type.name == "User"


def _matches(wanted: ScimFilter[Any] | None, shown: Resource[Any]) -> bool:
    if wanted is None:
        return True
    if len(wanted.models) > 1:  # of both types at once: what one lacks, it does not match
        return parametrize(ScimFilter, type(shown))(str(wanted)).match(shown)
    return wanted.match(shown)


def _by_index(resource_type: ResourceType, wanted: ScimFilter[Any] | None) -> list[Any]:
    """Conditions that leave out what cannot match, for the comparisons that an index knows."""
    node = wanted.ast if wanted is not None else None
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return []
    name = node.attr_path.attr.lower() if node.attr_path.sub_attr is None else ""
    table = ScimUser if _is_user(resource_type) else ScimGroup
    if name == "externalid":
        return [table.external_id == node.value]
    if name == "username" and table is ScimUser:
        return [func.lower(ScimUser.user_name) == node.value.lower()]
    return []
