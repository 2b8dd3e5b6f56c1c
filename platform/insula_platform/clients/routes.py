"""`/api/v1/tenants/{tenant}/clients`: the tenant's own service clients and apps."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.clients import schemas, secrets, service
from insula_platform.etags import IfMatch
from insula_platform.idempotency import IdempotencyKey, Once
from insula_platform.oauth import models
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.state import CurrentPlatform
from insula_tenants.spaces import check_places

router = APIRouter(prefix="/api/v1/tenants/{tenant}/clients", tags=["Clients"], responses=PROBLEM_RESPONSES)

Reader = Annotated[Access, Requires("clients:read")]
Writer = Annotated[Access, Requires("clients:write")]
ClientId = Annotated[
    str, Path(max_length=100, description="The client's id.", examples=["acme-5f0c2a9be1d4"])
]
SecretId = Annotated[UUID, Path(description="The secret's id, which is not the secret.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": schemas.CreatedClient, "description": "Made by an earlier request"},
        **problem_responses(409),
    },
)
def post_client(
    access: Writer,
    platform: CurrentPlatform,
    asked: schemas.NewClient,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> schemas.CreatedClient:
    """Make a client. Its secret is told in this answer and never again.

    It can be used with this tenant alone. Everybody it acts for is asked once whether they let it.
    """
    check_whole_tenant(access)
    response.headers["Cache-Control"] = "no-store"
    wanted = _metadata(asked)
    if wanted.places is not None:
        with platform.databases.tenant(access.context) as session:
            check_places(session, wanted.places)
    with platform.databases.core() as core:
        once = Once(core, access, "clients", idempotency_key, asked.model_dump(mode="json"))
        if once.made is not None:
            client, secret = service.find_client(core, access.context, once.made["client_id"]), None
            response.status_code = 200
        else:
            client, secret = service.create_client(core, _maker(access), wanted)
            once.keep({"client_id": client.client_id})
        response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/clients/{client.client_id}"
        response.headers["ETag"] = service.client_etag(client)
        return schemas.CreatedClient(**schemas.Client.of(client).model_dump(), client_secret=secret)


@router.get("")
def get_clients(
    access: Reader, platform: CurrentPlatform, limit: Limit = 100, cursor: Cursor = None
) -> Page[schemas.Client]:
    """All clients of the tenant, by name. No secret is among what is told."""
    check_whole_tenant(access)
    after = decode_cursor(cursor, str, str) if cursor else None
    with platform.databases.core() as core:
        found = service.list_clients(
            core, access.context, after=(after[0], after[1]) if after else None, limit=limit + 1
        )
        items = [schemas.Client.of(client) for client in found[:limit]]
    more = encode_cursor(items[-1].name, items[-1].client_id) if len(found) > limit else None
    return Page(items=items, next_cursor=more)


@router.get("/{client_id}")
def get_client(
    access: Reader, platform: CurrentPlatform, client_id: ClientId, response: Response
) -> schemas.Client:
    """One client, and when its secrets were made and used."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        return _answer(service.find_client(core, access.context, client_id), response)


@router.patch("/{client_id}", responses=problem_responses(412))
def patch_client(
    access: Writer,
    platform: CurrentPlatform,
    client_id: ClientId,
    asked: schemas.ClientChanges,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.Client:
    """Change a client, or disable it. It counts from the next request on.

    What an app may do for people is cut at its next token, minutes later. How a client proves who it is, and
    for whom it acts, stays: make another client for that.
    """
    check_whole_tenant(access)
    changes = asked.model_dump(exclude_unset=True, exclude_none=True)
    with platform.databases.core() as core:
        client = service.change_client(core, _maker(access), client_id, changes, if_match=if_match)
        return _answer(client, response)


@router.delete("/{client_id}", status_code=204)
def delete_client(access: Writer, platform: CurrentPlatform, client_id: ClientId) -> None:
    """Remove a client. From the next request on nothing it holds is good for anything."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        service.delete_client(core, _maker(access), client_id)


@router.post(
    "/{client_id}/secrets",
    status_code=201,
    responses={
        200: {"model": schemas.CreatedSecret, "description": "Made by an earlier request"},
        **problem_responses(409),
    },
)
def post_secret(
    access: Writer,
    platform: CurrentPlatform,
    client_id: ClientId,
    asked: schemas.Rotation,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> schemas.CreatedSecret:
    """Rotate the secret: a new one, told this once, while the old ones stay good for as long as you say."""
    check_whole_tenant(access)
    response.headers["Cache-Control"] = "no-store"
    with platform.databases.core() as core:
        operation = f"clients/{client_id}/secrets"
        once = Once(core, access, operation, idempotency_key, asked.model_dump(mode="json"))
        if once.made is not None:
            response.status_code = 200
            return _earlier_secret(core, access, client_id, UUID(once.made["secret_id"]))
        overlap = timedelta(seconds=asked.overlap_seconds)
        made, secret = secrets.rotate_secret(core, _maker(access), client_id, overlap)
        once.keep({"secret_id": str(made.id)})
        return _told(made, secret)


@router.delete("/{client_id}/secrets/{secret_id}", status_code=204)
def delete_secret(
    access: Writer, platform: CurrentPlatform, client_id: ClientId, secret_id: SecretId
) -> None:
    """Revoke a secret at once. Access tokens that it brought last for minutes: disabling ends them, too."""
    check_whole_tenant(access)
    with platform.databases.core() as core:
        secrets.revoke_secret(core, _maker(access), client_id, secret_id)


def _maker(access: Access) -> service.Maker:
    return service.Maker(access.context, access.actor, access.scopes)


def _metadata(asked: schemas.NewClient) -> service.ClientMetadata:
    return service.ClientMetadata(
        asked.name,
        asked.scopes,
        list(asked.grant_types),
        asked.token_endpoint_auth_method,
        asked.application_type,
        asked.redirect_uris,
        asked.post_logout_redirect_uris,
        asked.jwks,
        asked.places.meant() if asked.places is not None else None,
    )


def _answer(client: models.Client, response: Response) -> schemas.Client:
    response.headers["ETag"] = service.client_etag(client)
    return schemas.Client.of(client)


def _earlier_secret(core: Session, access: Access, client_id: str, secret_id: UUID) -> schemas.CreatedSecret:
    client = service.find_client(core, access.context, client_id)
    return _told(secrets.find_secret(client, secret_id), None)


def _told(made: models.ClientSecret, secret: str | None) -> schemas.CreatedSecret:
    return schemas.CreatedSecret(**schemas.Secret.model_validate(made).model_dump(), client_secret=secret)
