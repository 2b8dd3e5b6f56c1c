"""`/api/v1/tenants/{tenant}/sso`: how a tenant signs in, and the domains that are its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from insula_platform.access import Access, Requires, check_whole_tenant
from insula_platform.etags import IfMatch, check_if_match, etag_of
from insula_platform.federation import domains, service
from insula_platform.federation.diagnosis import diagnose
from insula_platform.federation.models import IdentityProvider
from insula_platform.federation.schemas import Diagnosis, Domain, NewDomain, NewSingleSignOn, SingleSignOn
from insula_platform.paging import Cursor, Page, decode_cursor, encode_cursor
from insula_platform.problems import PROBLEM_RESPONSES, problem_responses
from insula_platform.settings import PlatformSettings
from insula_platform.state import CurrentPlatform
from insula_tenants.errors import NotFound

router = APIRouter(
    prefix="/api/v1/tenants/{tenant}/sso", tags=["Single sign-on"], responses=PROBLEM_RESPONSES
)


def _reader(access: Annotated[Access, Requires("sso:read")]) -> Access:
    check_whole_tenant(access)
    return access


def _writer(access: Annotated[Access, Requires("sso:write")]) -> Access:
    check_whole_tenant(access)
    return access


Reader = Annotated[Access, Depends(_reader)]
Writer = Annotated[Access, Depends(_writer)]
DomainName = Annotated[str, Path(description="The domain.", examples=["acme.example"], max_length=253)]


@router.get("")
def get_sso(access: Reader, platform: CurrentPlatform, response: Response) -> SingleSignOn:
    """How the tenant signs in at its own provider; 404 when it does not."""
    with platform.databases.core() as core:
        provider = service.find_provider(core, access.context)
        response.headers["ETag"] = etag_of(service.shown(provider))
        return _view(platform.settings, provider, access.context.slug)


@router.put(
    "", responses={201: {"model": SingleSignOn, "description": "Set up"}, **problem_responses(409, 412)}
)
def put_sso(
    access: Writer,
    platform: CurrentPlatform,
    asked: NewSingleSignOn,
    response: Response,
    if_match: IfMatch = None,
) -> SingleSignOn:
    """Set up or change how the tenant signs in. `POST …/sso/test` says whether it works.

    When it becomes enforced, members other than owners are signed out, and come in by the provider alone.
    """
    setup = service.Setup(**asked.model_dump())
    with platform.databases.core() as core:
        try:
            before = service.shown(service.find_provider(core, access.context, for_update=True))
        except NotFound:
            before = None
        check_if_match(if_match, etag_of(before) if before else None)
        provider = service.put_provider(core, platform.settings, access.context, setup, actor=access.actor)
        response.headers["ETag"] = etag_of(service.shown(provider))
        response.status_code = 200 if before else 201
        return _view(platform.settings, provider, access.context.slug)


@router.delete("", status_code=204)
def delete_sso(access: Writer, platform: CurrentPlatform) -> None:
    """Take single sign-on away. Sessions by it end; members stay, and need a password."""
    with platform.databases.core() as core:
        service.remove_provider(core, access.context, actor=access.actor)


@router.post("/test")
def post_test(access: Writer, platform: CurrentPlatform) -> Diagnosis:
    """Ask the provider what can be asked without a person, and say what is wrong."""
    with platform.databases.core() as core:
        provider = service.find_provider(core, access.context)
        registered = service.registration(platform.settings, provider, access.context.slug)
        verified = domains.verified_domains(core, access.context.id)
    return Diagnosis.of(diagnose(platform.federation.providers, registered, verified))


@router.get("/domains")
def get_domains(
    access: Reader,
    platform: CurrentPlatform,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
    cursor: Cursor = None,
) -> Page[Domain]:
    """The domains that the tenant says are its own, by name."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    with platform.databases.core() as core:
        rows = domains.claimed_domains(core, access.context.id, after=after, limit=limit + 1)
        items = [Domain.of(row) for row in rows[:limit]]
    more = encode_cursor(items[-1].domain) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)


@router.post(
    "/domains",
    status_code=201,
    responses={200: {"model": Domain, "description": "It was said before"}, **problem_responses(409)},
)
def post_domain(access: Writer, platform: CurrentPlatform, asked: NewDomain, response: Response) -> Domain:
    """Say that a domain is the tenant's. The answer has the TXT record that proves it."""
    with platform.databases.core() as core:
        claimed, repeated = domains.claim_domain(core, access.context, asked.domain, actor=access.actor)
        response.status_code = 200 if repeated else 201
        response.headers["Location"] = f"/api/v1/tenants/{access.context.slug}/sso/domains/{claimed.domain}"
        return Domain.of(claimed)


@router.get("/domains/{domain}")
def get_domain(access: Reader, platform: CurrentPlatform, domain: DomainName) -> Domain:
    """One domain, and the record that proves it."""
    with platform.databases.core() as core:
        return Domain.of(domains.find_domain(core, access.context, domain))


@router.post("/domains/{domain}/verify", responses=problem_responses(409))
def post_verify(access: Writer, platform: CurrentPlatform, domain: DomainName) -> Domain:
    """Look for the TXT record now. 409 says what is missing, or that another tenant has proven the domain."""
    domains.verify_domain(
        platform.databases, access.context, domain, platform.federation.texts, actor=access.actor
    )
    with platform.databases.core() as core:
        return Domain.of(domains.find_domain(core, access.context, domain))


@router.delete("/domains/{domain}", status_code=204)
def delete_domain(access: Writer, platform: CurrentPlatform, domain: DomainName) -> None:
    """Give a domain up. Who came in by it stays; nobody new does."""
    with platform.databases.core() as core:
        domains.remove_domain(core, access.context, domain, actor=access.actor)


def _view(settings: PlatformSettings, provider: IdentityProvider, slug: str) -> SingleSignOn:
    return SingleSignOn(
        **service.shown(provider),
        redirect_uri=service.callback_url(settings, slug),
        signin_url=f"{settings.public_url}/signin/sso/{slug}",
    )
