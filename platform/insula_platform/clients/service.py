"""Make, show, change and remove the clients of a tenant, in the caller's session on the registry.

Whoever makes a client, or changes how it proves who it is, could act as it afterwards. So nobody may do
that to a client whose scopes are wider than their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from insula_platform.access.policy import actions_of
from insula_platform.etags import check_if_match, etag_of
from insula_platform.oauth import scopes
from insula_platform.oauth.client_keys import check_jwks
from insula_platform.oauth.models import Client, ClientSecret, fingerprint, new_secret
from insula_platform.oauth.redirects import check_addresses
from insula_tenants import audit
from insula_tenants.audit import Actor
from insula_tenants.context import TenantContext
from insula_tenants.errors import InvalidInput, NotAllowed, NotFound
from insula_tenants.spaces.places import Places


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes and changes clients, in which tenant, and what they may do there themselves."""

    tenant: TenantContext
    actor: Actor
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What a client is to be (RFC 7591, section 2)."""

    name: str
    scopes: list[str]
    grant_types: list[str]
    auth_method: str = "client_secret_basic"
    application_type: str = "web"
    redirect_uris: list[str] = field(default_factory=list)
    post_logout_redirect_uris: list[str] = field(default_factory=list)
    jwks: dict[str, Any] | None = None
    places: Places | None = None
    """Of a client that acts for itself: where it may; None for the whole tenant."""

    @property
    def is_for_people(self) -> bool:
        """Whether it acts for people, who sign in and let it."""
        return "authorization_code" in self.grant_types


def create_client(core: Session, maker: Maker, wanted: ClientMetadata) -> tuple[Client, str | None]:
    """A client of the tenant, and its secret where it has one, which is told this once.

    The places of `wanted` exist. Raises `InvalidInput` for what cannot be, `NotAllowed` for scopes that the
    maker does not hold.
    """
    checked = _checked(wanted)
    _check_reach(maker, checked.scopes)
    secret = new_secret() if checked.auth_method.startswith("client_secret_") else None
    client = Client(
        client_id=f"{maker.tenant.slug}-{uuid4().hex[:12]}",
        tenant_id=maker.tenant.id,
        name=checked.name,
        scope=scopes.join(checked.scopes),
        grant_types=checked.grant_types,
        auth_method=checked.auth_method,
        application_type=checked.application_type,
        redirect_uris=checked.redirect_uris,
        post_logout_redirect_uris=checked.post_logout_redirect_uris,
        jwks=checked.jwks,
        places=checked.places.told if checked.places is not None else None,
        created_by=f"{maker.actor.kind} {maker.actor.id}",
        secrets=[ClientSecret(secret_hash=fingerprint(secret))] if secret else [],
    )
    core.add(client)
    core.flush()
    _record(core, maker, "client.created", client, name=client.name, scope=client.scope)
    return client, secret


def list_clients(
    core: Session, tenant: TenantContext, *, after: tuple[str, str] | None = None, limit: int = 100
) -> list[Client]:
    """The tenant's clients by name; those after the position `(name, client_id)`."""
    query = select(Client).where(Client.tenant_id == tenant.id)
    if after is not None:
        query = query.where(tuple_(Client.name, Client.client_id) > after)
    return list(core.scalars(query.order_by(Client.name, Client.client_id).limit(limit)))


def find_client(core: Session, tenant: TenantContext, client_id: str, *, for_update: bool = False) -> Client:
    """One client; `NotFound` when the tenant has none of this id, whoever else may."""
    query = select(Client).where(Client.client_id == client_id, Client.tenant_id == tenant.id)
    found = core.scalar(query.with_for_update(of=Client) if for_update else query)
    if found is None:
        raise NotFound(f"there is no client {client_id!r}")
    return found


def change_client(
    core: Session, maker: Maker, client_id: str, changes: dict[str, Any], *, if_match: str | None = None
) -> Client:
    """Change what `changes` names: fields of `ClientMetadata`, and `disabled`.

    Raises `PreconditionFailed` when the client is not that of `if_match`, else as `create_client`.
    """
    client = find_client(core, maker.tenant, client_id, for_update=True)
    check_if_match(if_match, client_etag(client))
    disabled = changes.get("disabled")
    described = {name: value for name, value in changes.items() if name != "disabled"}
    if described:
        before = _metadata(client)
        _check_reach(maker, before.scopes)
        after = _checked(_with(before, described))
        _check_reach(maker, after.scopes)
        client.name, client.scope, client.jwks = after.name, scopes.join(after.scopes), after.jwks
        client.redirect_uris = after.redirect_uris
        client.post_logout_redirect_uris = after.post_logout_redirect_uris
    if disabled is True:
        client.disabled_at = client.disabled_at or datetime.now(UTC)
    elif disabled is False:
        # It works again as it did: to whoever may not have made it, that would be making it.
        _check_reach(maker, scopes.split(client.scope))
        client.disabled_at = None
    core.flush()
    told = {name: value for name, value in changes.items() if name != "jwks"}
    _record(core, maker, "client.changed", client, changed=sorted(changes), **told)
    return client


def delete_client(core: Session, maker: Maker, client_id: str) -> None:
    """Remove a client with its secrets, and all that people let it do. `NotFound` when there is none."""
    client = find_client(core, maker.tenant, client_id, for_update=True)
    _record(core, maker, "client.deleted", client, name=client.name)
    core.delete(client)


def client_etag(client: Client) -> str:
    """Changes when what can be changed does; not with its secrets, nor with their use."""
    return etag_of(
        [
            client.name,
            client.scope,
            client.redirect_uris,
            client.post_logout_redirect_uris,
            client.jwks,
            client.disabled_at is None,
        ]
    )


def check_may_act_as(maker: Maker, client: Client) -> None:
    """`NotAllowed` for whoever would gain scopes by acting as this client."""
    _check_reach(maker, scopes.split(client.scope))


def _metadata(client: Client) -> ClientMetadata:
    return ClientMetadata(
        client.name,
        scopes.split(client.scope),
        client.grant_types,
        client.auth_method,
        client.application_type,
        client.redirect_uris,
        client.post_logout_redirect_uris,
        client.jwks,
        Places.of(client.places),
    )


def _with(before: ClientMetadata, changes: dict[str, Any]) -> ClientMetadata:
    fields = {name: getattr(before, name) for name in ClientMetadata.__slots__}
    return ClientMetadata(**fields | changes)


def _check_reach(maker: Maker, wanted: list[str]) -> None:
    beyond = [name for name in wanted if name not in maker.scopes and name not in scopes.IDENTITY_SCOPES]
    if beyond:
        raise NotAllowed(f"you do not hold {', '.join(beyond)}: a client can have no more than its maker")


def _checked(wanted: ClientMetadata) -> ClientMetadata:
    """The same, normalized; raises `InvalidInput`, naming the field as the API has it."""
    name = wanted.name.strip()
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise InvalidInput("name", "give a name of 1 to 200 characters that tells what the program does")
    _check_grants(wanted)
    _check_authentication(wanted)
    known = scopes.SCOPES if wanted.is_for_people else scopes.API_SCOPES
    unknown = [scope for scope in wanted.scopes if scope not in known]
    if unknown or not wanted.scopes:
        what = f"there is no scope {unknown[0]!r} for such a client" if unknown else "no scope is given"
        raise InvalidInput("scopes", f"{what}: use some of {', '.join(known)}")
    _check_places(wanted)
    native = wanted.application_type == "native"
    return ClientMetadata(
        name,
        list(dict.fromkeys(wanted.scopes)),
        list(dict.fromkeys(wanted.grant_types)),
        wanted.auth_method,
        wanted.application_type,
        check_addresses("redirect_uris", wanted.redirect_uris, native=native),
        check_addresses("post_logout_redirect_uris", wanted.post_logout_redirect_uris, native=native),
        check_jwks("jwks", wanted.jwks) if wanted.jwks is not None else None,
        wanted.places,
    )


def _check_grants(wanted: ClientMetadata) -> None:
    if "refresh_token" in wanted.grant_types and not wanted.is_for_people:
        raise InvalidInput("grant_types", "refresh_token goes with authorization_code alone")
    if wanted.is_for_people and not wanted.redirect_uris:
        raise InvalidInput("redirect_uris", "give at least one address for people to come back to")
    if not wanted.is_for_people and (wanted.redirect_uris or wanted.post_logout_redirect_uris):
        raise InvalidInput(
            "redirect_uris", "leave the addresses out: without authorization_code nobody signs in"
        )


def _check_places(wanted: ClientMetadata) -> None:
    if wanted.places is None:
        return
    if wanted.is_for_people:
        raise InvalidInput(
            "places", "leave it out: where a client for people may act, each person's role says"
        )
    whole = set(wanted.scopes) - actions_of(wanted.scopes, None, within_places=True)
    if whole:
        raise InvalidInput(
            "scopes", f"{', '.join(sorted(whole))}: this is of the whole tenant; leave it out, or places"
        )


def _check_authentication(wanted: ClientMetadata) -> None:
    if (wanted.auth_method == "private_key_jwt") != (wanted.jwks is not None):
        raise InvalidInput(
            "jwks", "give public keys with token_endpoint_auth_method private_key_jwt, and only then"
        )
    if wanted.auth_method == "none":
        if wanted.application_type != "native":
            raise InvalidInput(
                "token_endpoint_auth_method",
                "none is for application_type native: what runs on a server keeps a secret or a key",
            )
        if "client_credentials" in wanted.grant_types:
            raise InvalidInput(
                "grant_types", "without a secret or a key anybody could be this client: no client_credentials"
            )


def _record(core: Session, maker: Maker, action: str, client: Client, **detail: Any) -> None:
    audit.record(core, maker.actor, action, tenant=maker.tenant.id, target=client.client_id, detail=detail)
